"""Rows of a feature matrix as directions: scaled when used, never copied as a whole."""

import math

import torch
from torch import Tensor

from .distances import squared_distances
from .kernels import Kernel, similarity, squared_reach


class Rows:
    """Unit rows of `x` (n, F) under a kernel.

    `exact` similarities are float64. `upper` ones are at least as large in the precision of the features, or in float64
    where the length scale is too short for that: squared distances are lowered by their rounding error.
    """

    def __init__(self, x: Tensor, kernel: Kernel, sigma: float, *, block: int) -> None:
        self.x, self.kernel, self.sigma, self.block = x, kernel, sigma, block
        lengths = [torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in x.split(block)]
        length = torch.cat(lengths)  # (n,)
        self.scale = length.reciprocal().where(length > 0, 0)  # a row of zeros has no direction
        self.some_zero = bool((length == 0).any())
        error = 4 * math.sqrt(x.shape[1]) + 4
        self.dtype = x.dtype if error * torch.finfo(x.dtype).eps < 0.01 * sigma**2 else torch.float64
        self.error = error * torch.finfo(self.dtype).eps
        self.low = 1 - 4 * torch.finfo(self.dtype).eps  # times a similarity: below it, whatever its rounding

    def __len__(self) -> int:
        return len(self.x)

    def unit(self, at: Tensor | slice, dtype: torch.dtype) -> Tensor:
        """(m, F) rows of length 1."""
        return self.x[at].to(dtype) * self.scale[at].to(dtype)[:, None]

    def exact(self, at: Tensor | slice, centres: Tensor) -> Tensor:
        """(n, m) similarities to `centres` (m, F), float64 rows of length 1."""
        squared = squared_distances(self.unit(at, torch.float64), centres, chunk=self.block)
        return similarity(squared, self.kernel, self.sigma)

    def apart(self, left: Tensor | slice, right: Tensor | slice) -> Tensor:
        """(n, m) how far they are apart: squared distances lowered by their rounding error, maybe below 0."""
        squared = self.unit(left, self.dtype).mul_(-2) @ self.unit(right, self.dtype).T
        squared += 2 - self.error
        if self.some_zero:  # they are of length 0
            squared[self.scale[left] == 0] -= 1
            squared[:, self.scale[right] == 0] -= 1
        return squared

    def near(self, apart: Tensor) -> Tensor:
        """Upper bounds of the similarities of what is this far apart. Works in place."""
        return similarity(apart.clamp_(min=0), self.kernel, self.sigma)

    def limit(self, low: Tensor) -> Tensor:
        """How far apart rows are at most that are more similar than `low` (n,): rounded up."""
        squared = squared_reach(low.double(), self.kernel, self.sigma)  # (n,)
        return (squared * (2 - self.low) + self.error * (1 + self.sigma**2)).to(self.dtype)

    def upper(self, left: Tensor | slice, right: Tensor | slice) -> Tensor:
        """(n, m) upper bounds of the similarities."""
        return self.near(self.apart(left, right))

    def fingerprint(self) -> Tensor:
        """(n,) float64 projections on a fixed direction: equal features have equal ones, up to rounding."""
        generator = torch.Generator().manual_seed(0)
        direction = torch.randn(self.x.shape[1], generator=generator).to(self.x)
        return (self.x @ direction).double() * self.scale
