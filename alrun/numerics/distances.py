"""Distances between directions, in float64 and right for near-duplicates."""

import math

import torch
from torch import Tensor

# 2 - 2 x.y loses digits for near pairs; below this squared distance they are subtracted coordinate by coordinate.
NEAR = 1e-4


def unit_rows(x: Tensor) -> Tensor:
    """(n, F) float64 rows scaled to length 1. A row of zeros has no direction and stays zero."""
    x = x.double()
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # (n, 1)
    return x / length.where(length > 0, 1)


def unit_copy(x: Tensor, *, block: int) -> Tensor:
    """(n, F) the rows scaled to length 1, in the precision of x; made in place, `block` rows at a time."""
    copy = torch.empty_like(x)
    for start in range(0, len(x), block):
        copy[start : start + block] = unit_rows(x[start : start + block])
    return copy


def squared_distances(x: Tensor, y: Tensor, *, chunk: int) -> Tensor:
    """(n, m) squared Euclidean distances of float64 rows of length 1 (or 0); exactly 0 for equal rows.

    `chunk` near pairs are subtracted at a time, and a single y from all x.
    """
    if len(y) == 1:
        return (x - y).square_().sum(1, keepdim=True)
    squared = (x @ y.T).mul_(-2).add_(x.square().sum(1)[:, None]).add_(y.square().sum(1))  # (n, m)
    row, column = (squared < NEAR).nonzero(as_tuple=True)
    for i, j in zip(row.split(chunk), column.split(chunk), strict=True):
        squared[i, j] = (x[i] - y[j]).square_().sum(1)
    return squared


def smallest_distance(x: Tensor, *, block: int) -> float:
    """Smallest strictly positive distance between two rows of x (l, F), float64 rows of length 1; inf if none.

    Distances of a few rounding errors count as 0: rows that differ in length alone are the same direction.
    """
    smallest = math.inf
    rounding = (8 * torch.finfo(x.dtype).eps) ** 2
    for start in range(0, len(x), block):
        squared = squared_distances(x[start : start + block], x[: start + block], chunk=block)
        positive = squared[squared > rounding]
        if len(positive):
            smallest = min(smallest, positive.min().item())
    return math.sqrt(smallest)
