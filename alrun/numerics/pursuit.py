"""Batches whose gradients do not repeat each other. Each pick costs one product of the chosen gradient with all others.

A head's gradients are held as residuals and embeddings (see influence.py), O(n (C + D)) a pick, and none is formed;
those of other parameters as rows, which may be sketches (see projections.py).
"""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .influence import cosine, norms, products, scores


class Gradients(Protocol):
    """Gradients of n items, one way or another."""

    def lengths(self) -> Tensor:
        """(n,)"""

    def products(self, item: int) -> Tensor:
        """(n,) inner products with the gradient of one of them."""

    def along(self, target: Tensor) -> Tensor:
        """(n,) inner products of the gradients at length one with a target."""


class Factored(NamedTuple):
    """Outer products of residuals and (h, 1)."""

    residual: Tensor  # (n, C)
    embeddings: Tensor  # (n, D)

    def lengths(self) -> Tensor:
        """(n,)"""
        return norms(self.residual, self.embeddings)

    def products(self, item: int) -> Tensor:
        """(n,)"""
        return products(self.residual, self.embeddings, item)

    def along(self, target: Tensor) -> Tensor:
        """(n,), of a target (C, D + 1)."""
        return scores(self.residual, self.embeddings, target, cosines=True)


class Dense(NamedTuple):
    """Rows."""

    rows: Tensor  # (n, P)

    def lengths(self) -> Tensor:
        """(n,)"""
        return self.rows.norm(dim=1)

    def products(self, item: int) -> Tensor:
        """(n,)"""
        return self.rows @ self.rows[item]

    def along(self, target: Tensor) -> Tensor:
        """(n,), of a target (P,)."""
        return cosine(self.rows @ target, self.lengths())


def mmr(gradients: Gradients, relevance: Tensor, n: int, *, trade_off: float) -> tuple[Tensor, Tensor]:
    """Maximal marginal relevance: argmax (1 - l) relevance - l max over picks of cos(g_i, g_pick), l = `trade_off`.

    The first pick is the most relevant item (Carbonell and Goldstein 1998), also at l = 1, where relevance counts for
    nothing afterwards. Gives positions and their values.
    """
    length = gradients.lengths()  # (u,)
    nearest = torch.full_like(length, -math.inf, dtype=torch.float64)  # (u,) cosine with the closest pick
    relevance = relevance.double()  # (u,)
    value = (1 - trade_off) * relevance
    free = torch.ones_like(length, dtype=torch.bool)
    picks: list[int] = []
    values: list[float] = []
    for _ in range(n):
        pick = int((value if picks else relevance).masked_fill(~free, -math.inf).argmax())
        picks.append(pick)
        values.append(value[pick].item())
        free[pick] = False
        similar = cosine(gradients.products(pick), length * length[pick])
        nearest = torch.maximum(nearest, similar.double())
        value = (1 - trade_off) * relevance - trade_off * nearest
    return length.new_tensor(picks, dtype=torch.int64), length.new_tensor(values)


def matching_pursuit(gradients: Gradients, target: Tensor, n: int, *, magnitude: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Explain the target by unit gradients: pick the largest <r, g_i / |g_i|>, subtract that part from r, repeat.

    r starts at the target. A negative product explains nothing and leaves r as it is, unless `magnitude`: then
    gradients may be subtracted too (Mallat and Zhang 1993). Gives positions, products, and |r| before and after
    every pick, (n + 1,).
    """
    length = gradients.lengths()  # (u,)
    value = gradients.along(target).double()  # (u,) <r, unit gradient>
    free = torch.ones_like(length, dtype=torch.bool)
    left = target.double().square().sum().item()  # |r|^2
    picks, values, remaining = [], [], [left]
    for _ in range(n):
        wanted = value.abs() if magnitude else value
        pick = int(wanted.masked_fill(~free, -math.inf).argmax())
        picks.append(pick)
        values.append(wanted[pick].item())
        free[pick] = False
        part = value[pick].item() if magnitude else max(0.0, value[pick].item())
        value = value - part * cosine(gradients.products(pick), length * length[pick]).double()
        left = max(0.0, left - part * part)
        remaining.append(left)
    index = length.new_tensor(picks, dtype=torch.int64)
    return index, length.new_tensor(values), torch.tensor(remaining, dtype=torch.float64).sqrt()
