"""Batches whose gradients do not repeat each other, for gradients held as residuals and embeddings (see influence.py).

Each pick costs one product of the chosen gradient with all others, O(n (C + D)); no gradient is formed.
"""

import math

import torch
from torch import Tensor

from .influence import cosine, norms, products, scores


def mmr(residual: Tensor, embeddings: Tensor, relevance: Tensor, n: int, *, trade_off: float) -> tuple[Tensor, Tensor]:
    """Maximal marginal relevance: argmax (1 - l) relevance - l max over picks of cos(g_i, g_pick), l = `trade_off`.

    The first pick is the most relevant item (Carbonell and Goldstein 1998). Gives positions and their values.
    """
    length = norms(residual, embeddings)  # (u,)
    nearest = torch.full_like(length, -math.inf, dtype=torch.float64)  # (u,) cosine with the closest pick
    value = (1 - trade_off) * relevance.double()
    free = torch.ones_like(length, dtype=torch.bool)
    picks, values = [], []
    for _ in range(n):
        pick = int(value.masked_fill(~free, -math.inf).argmax())
        picks.append(pick)
        values.append(value[pick].item())
        free[pick] = False
        similar = cosine(products(residual, embeddings, pick), length * length[pick])
        nearest = torch.maximum(nearest, similar.double())
        value = (1 - trade_off) * relevance.double() - trade_off * nearest
    return residual.new_tensor(picks, dtype=torch.int64), residual.new_tensor(values)


def matching_pursuit(
    residual: Tensor, embeddings: Tensor, target: Tensor, n: int, *, magnitude: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Explain the target by unit gradients: pick the largest <r, g_i / |g_i|>, subtract that part from r, repeat.

    r starts at the target. A negative product explains nothing and leaves r as it is, unless `magnitude`: then
    gradients may be subtracted too (Mallat and Zhang 1993). Gives positions, products, and |r| before and after
    every pick, (n + 1,).
    """
    length = norms(residual, embeddings)  # (u,)
    value = scores(residual, embeddings, target, cosines=True).double()  # (u,) <r, unit gradient>
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
        value = value - part * cosine(products(residual, embeddings, pick), length * length[pick]).double()
        left = max(0.0, left - part * part)
        remaining.append(left)
    index = residual.new_tensor(picks, dtype=torch.int64)
    return index, residual.new_tensor(values), torch.tensor(remaining, dtype=torch.float64).sqrt()
