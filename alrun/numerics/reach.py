"""Which points each candidate would still cover better: sparse once the pool is somewhat covered."""

import numpy as np
import torch
from torch import Tensor


class Reach:
    """For each of n candidates the points whose similarity to it is above their cover, and that similarity.

    Entries arrive tile by tile and stay where they arrive; `first` and `count` say where, for each candidate and tile
    column. A list made once stays complete, because cover only grows.
    """

    def __init__(self, n: int, tile: int, capacity: int, dtype: torch.dtype, device: torch.device) -> None:
        tiles = -(-n // tile)
        self.tile, self.used = tile, 0
        self.point = torch.empty(capacity, dtype=torch.int32, device=device)
        self.near = torch.empty(capacity, dtype=dtype, device=device)
        small = torch.int32 if capacity < 2**31 else torch.int64
        self.first = torch.zeros(n, tiles, dtype=small, device=device)
        self.count = torch.zeros(n, tiles, dtype=torch.int16, device=device)  # at most `tile`

    def add(self, candidates: slice, points: slice, near: Tensor, above: Tensor) -> bool:
        """Take the entries of a tile (candidates, points) where `above`; False if they do not fit."""
        flat = _true(above)  # (e,) row-major: sorted by candidate
        end = self.used + len(flat)
        if end > len(self.point):
            return False
        candidate, point = flat // above.shape[1], flat % above.shape[1]
        self.point[self.used : end] = point + points.start
        self.near[self.used : end] = near[candidate, point]
        count = candidate.bincount(minlength=len(above))  # (candidates,)
        column = points.start // self.tile
        self.count[candidates, column] = count.to(torch.int16)
        self.first[candidates, column] = (count.cumsum(0) - count + self.used).to(self.first.dtype)
        self.used = end
        return True

    def of(self, candidates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(e,) owner, as a position in `candidates`, point and similarity of all their entries."""
        count, first = self.count[candidates].long(), self.first[candidates].long()  # (m, tiles)
        flat = count.flatten()
        ends = flat.cumsum(0)
        at = torch.repeat_interleave(first.flatten() - ends + flat, flat)
        at += torch.arange(len(at), device=at.device)
        owner = torch.repeat_interleave(count.sum(1))
        return owner, self.point[at], self.near[at]

    def kept(self, candidates: Tensor, low: Tensor, block: int) -> "Reach":
        """The lists of these candidates alone, without the points that are now covered as well; in one piece each."""
        live = []
        for part in candidates.split(block):
            owner, point, near = self.of(part)
            above = near > low[point]
            live.append((part[owner[above]], point[above], near[above]))
        owner, point, near = (torch.cat(column) for column in zip(*live, strict=True))
        kept = Reach(len(self.count), len(self.count), 0, near.dtype, near.device)
        kept.point, kept.near, kept.used = point, near, len(point)
        kept.count = owner.bincount(minlength=len(self.count))[:, None]
        kept.first = kept.count.cumsum(0) - kept.count
        return kept


def _true(mask: Tensor) -> Tensor:
    """Flat positions where a mask holds; numpy finds them several times faster on the CPU."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero().flatten()
