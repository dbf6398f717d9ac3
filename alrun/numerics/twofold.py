"""Similarity in two respects at once: a kernel of directions times the cosine of other directions."""

import math

import torch
from torch import Tensor

from .kernels import Kernel
from .rows import Rows


class TwofoldRows(Rows):
    """Rows of `x` (n, F) under a kernel, times the cosine of rows of `other` (n, C), or 0 where that is negative.

    `unit` rows are (m, F + C), both side by side. A row of zeros in `other` is similar to nothing.
    """

    def __init__(self, x: Tensor, other: Tensor, kernel: Kernel, sigma: float, *, block: int) -> None:
        super().__init__(x, kernel, sigma, block=block)
        self.plain = Rows(x, kernel, sigma, block=block)
        length = torch.linalg.vector_norm(other, dim=1, dtype=torch.float64)  # (n,)
        self.other, self.other_scale = other, length.reciprocal().where(length > 0, 0)
        self.slack = 4 * math.sqrt(other.shape[1]) * torch.finfo(self.dtype).eps

    def _other(self, at: Tensor | slice, dtype: torch.dtype) -> Tensor:
        return self.other[at].to(dtype) * self.other_scale[at, None].to(dtype)  # (m, C)

    def unit(self, at: Tensor | slice, dtype: torch.dtype) -> Tensor:
        """(m, F + C) both rows, each of length 1."""
        return torch.cat([self.plain.unit(at, dtype), self._other(at, dtype)], dim=1)

    def exact(self, at: Tensor | slice, centres: Tensor) -> Tensor:
        """(n, m) similarities to `centres` (m, F + C), float64 rows as `unit` gives them."""
        x, other = centres[:, : self.x.shape[1]], centres[:, self.x.shape[1] :]
        cosine = self._other(at, torch.float64) @ other.T  # (n, m)
        return self.plain.exact(at, x).mul_(cosine.clamp_(0, 1))

    def apart(self, left: Tensor | slice, right: Tensor | slice) -> Tensor:
        """(n, m) upper bounds of the similarities, negated."""
        cosine = self._other(left, self.dtype) @ self._other(right, self.dtype).T  # (n, m)
        return self.plain.upper(left, right).mul_(cosine.add_(self.slack).clamp_(0, 1)).neg_()

    def near(self, apart: Tensor) -> Tensor:
        """Upper bounds of the similarities of what is this far apart. Works in place."""
        return apart.neg_()

    def limit(self, low: Tensor) -> Tensor:
        """How far apart rows are at most that are more similar than `low` (n,)."""
        return -low
