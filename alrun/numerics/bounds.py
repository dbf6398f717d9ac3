"""How much each candidate would add to weighted coverage, at most: one pass over half of the symmetric similarities.

A tile of them serves its rows as candidates and its columns. Where little is left to cover, the few entries that count
are found by distance alone, and the kernel is taken of them only.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from .reach import Reach
from .rows import Rows


def tiles(n: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Those on and above the diagonal."""
    sides = [slice(start, min(start + size, n)) for start in range(0, n, size)]
    return ((left, right) for index, left in enumerate(sides) for right in sides[index:])


def summed(rows: Rows, low: Tensor, light: Tensor, size: int) -> Tensor:
    """(n,) float64, sum over points of `light` times what a candidate covers better than `low`, both (n,)."""
    gains = torch.zeros(len(rows), dtype=torch.float64, device=low.device)
    for left, right in tiles(len(rows), size):
        near = rows.upper(left, right)  # (size, size)
        gains[left] += (near - low[right]).clamp_(min=0) @ light[right]
        if left != right:
            gains[right] += light[left] @ near.sub_(low[left, None]).clamp_(min=0)
    return gains


def listed(rows: Rows, low: Tensor, light: Tensor, reach: Reach) -> Tensor | None:
    """The same sums, and what they are made of goes into `reach`; None if it does not fit."""
    gains, limit = torch.zeros(len(rows), dtype=torch.float64, device=low.device), rows.limit(low)  # (n,)

    def keep(candidates: slice, points: slice, candidate: Tensor, point: Tensor, apart: Tensor) -> bool:
        near = rows.near(apart)  # (e,)
        excess = (near - low[points].index_select(0, point)).clamp_(min=0)
        gains[candidates].index_add_(0, candidate, excess.mul_(light[points].index_select(0, point)).double())
        return reach.add(candidates, points, candidate, point, near)

    for left, right in tiles(len(rows), reach.tile):
        apart = rows.apart(left, right)  # (size, size)
        flat = below(apart, limit[right])
        row, column = flat // apart.shape[1], flat % apart.shape[1]
        fits = keep(left, right, row, column, apart.view(-1).index_select(0, flat))
        if left != right:
            flat = below(apart, limit[left, None])
            flat = flat[by_column(flat % apart.shape[1])]
            row, column = flat // apart.shape[1], flat % apart.shape[1]
            fits = fits and keep(right, left, column, row, apart.view(-1).index_select(0, flat))
        if not fits:
            return None
    return gains


def below(tile: Tensor, limit: Tensor) -> Tensor:
    """(e,) flat positions where a tile is below its limit, ascending; numpy finds them much faster on the CPU."""
    if tile.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(tile.numpy() < limit.numpy()))
    return (tile < limit).flatten().nonzero().flatten()


def by_column(column: Tensor) -> Tensor:
    """(e,) stable order of the columns of entries."""
    if column.device.type == "cpu":
        return torch.from_numpy(column.numpy().astype(np.uint16).argsort(kind="stable"))  # a radix sort
    return column.argsort(stable=True)
