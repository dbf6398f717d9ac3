"""Random projections of gradients (n, P) to few numbers: +-1 matrices and two-sided ones; sketch.py has CountSketch.

Inner products of projections are unbiased for those of the gradients (Johnson and Lindenstrauss 1984); project pool and
target gradients with the same one. Per gradient a dense matrix costs P x width, a CountSketch P, and a two-sided
projection of a layer's (out, in) matrix to (k, k) costs k out in.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from .sketch import Hash, count_sketch, draw_hash

BLOCK = 4096  # rows of a dense matrix that are held at once


class Projection(Protocol):
    """(n, P) -> (n, width)."""

    def __call__(self, rows: Tensor) -> Tensor:
        """The projections."""


class Count(NamedTuple):
    """CountSketch."""

    hashed: Hash

    def __call__(self, rows: Tensor) -> Tensor:
        """(n, width)"""
        bucket, sign = (part.to(rows.device) for part in (self.hashed.bucket, self.hashed.sign))
        return count_sketch(rows, Hash(bucket, sign, self.hashed.width))


class Signs(NamedTuple):
    """A dense matrix of +-1 over the root of its width, drawn again from its seed whenever it is used, never held."""

    width: int
    seed: int

    def __call__(self, rows: Tensor) -> Tensor:
        """(n, width)"""
        result = rows.new_zeros(len(rows), self.width)
        for at, start in enumerate(range(0, rows.shape[1], BLOCK)):
            part = rows[:, start : start + BLOCK]
            bits = np.random.default_rng([self.seed, at]).integers(2, size=(part.shape[1], self.width), dtype=np.int8)
            result += part @ (torch.from_numpy(bits).to(rows) * 2 - 1)
        return result / self.width**0.5


class TwoSided(NamedTuple):
    """P_out G P_in^T of every parameter with two or more axes (LoGra, Choe et al. 2024); the others as they are.

    A side that is no longer than `side` stays as it is.
    """

    shapes: Sequence[Sequence[int]]
    sides: Sequence[tuple[Tensor | None, Tensor | None]]  # P_out (k, out) and P_in (k, in) of each parameter

    def __call__(self, rows: Tensor) -> Tensor:
        """(n, sum of k k)"""
        parts = []
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        for part, shape, (left, right) in zip(rows.split(sizes, dim=1), self.shapes, self.sides, strict=True):
            if len(shape) > 1:
                part = part.reshape(len(rows), shape[0], -1)
                part = part if left is None else left.to(rows) @ part
                part = part if right is None else part @ right.to(rows).T
            parts.append(part.flatten(1))
        return torch.cat(parts, dim=1)


def draw_count(parameters: int, width: int, rng: np.random.Generator) -> Count:
    """A CountSketch of `parameters` numbers."""
    return Count(draw_hash(parameters, width, rng))


def draw_signs(width: int, rng: np.random.Generator) -> Signs:
    """A dense +-1 matrix."""
    return Signs(width, int(rng.integers(2**63)))


def draw_two_sided(shapes: Sequence[Sequence[int]], side: int, rng: np.random.Generator) -> TwoSided:
    """Gaussian matrices of `side` rows for both sides of every parameter that is longer there."""

    def drawn(length: int) -> Tensor | None:
        return None if length <= side else torch.from_numpy(rng.standard_normal((side, length)) / side**0.5)

    sides = [(drawn(shape[0]), drawn(int(np.prod(shape[1:])))) if len(shape) > 1 else (None, None) for shape in shapes]
    return TwoSided([tuple(shape) for shape in shapes], sides)
