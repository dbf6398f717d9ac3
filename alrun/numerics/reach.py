"""Which points each candidate would still cover better: sparse once the pool is somewhat covered."""

from collections.abc import Sequence

import torch
from torch import Tensor

LONG = 512  # mean length of the lists at hand, at most: the front is shorter where they are longer


class Reach:
    """For each of n candidates the points whose similarity to it is above their cover, and that similarity.

    Entries arrive tile by tile and stay where they arrive; `first` and `count` say where, for each candidate and tile
    column. A list made once stays complete, because cover only grows.
    """

    def __init__(self, n: int, tile: int, capacity: int, dtype: torch.dtype, device: torch.device) -> None:
        tiles = -(-n // tile)
        self.tile, self.used = tile, 0
        within = torch.int16 if tile < 2**15 else torch.int32
        self.point = torch.empty(capacity, dtype=within, device=device)  # counted from the start of its tile
        self.near = torch.empty(capacity, dtype=dtype, device=device)
        small = torch.int32 if capacity < 2**31 else torch.int64
        self.first = torch.zeros(n, tiles, dtype=small, device=device)
        self.count = torch.zeros(n, tiles, dtype=torch.int16, device=device)  # at most `tile`

    def add(self, candidates: slice, points: slice, candidate: Tensor, point: Tensor, near: Tensor) -> bool:
        """Take entries (e,) of a tile, in the order of their candidates; False if they do not fit.

        `candidate` and `point` count from the start of the tile.
        """
        end = self.used + len(near)
        if end > len(self.point):
            return False
        self.point[self.used : end] = point
        self.near[self.used : end] = near
        count = candidate.bincount(minlength=candidates.stop - candidates.start)  # (candidates,)
        column = points.start // self.tile
        self.count[candidates, column] = count.to(torch.int16)
        self.first[candidates, column] = (count.cumsum(0) - count + self.used).to(self.first.dtype)
        self.used = end
        return True

    def of(self, candidates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(e,) owner, as a position in `candidates`, point and similarity of all their entries."""
        count, first = self.count[candidates].long(), self.first[candidates].long()  # (m, tiles)
        flat = count.flatten()
        at = torch.repeat_interleave(first.flatten() - flat.cumsum(0) + flat, flat)
        at += torch.arange(len(at), device=at.device)
        starts = torch.arange(0, count.shape[1], device=at.device) * self.tile
        point = torch.repeat_interleave(starts.repeat(len(candidates)), flat)
        point += self.point.index_select(0, at)
        owner = torch.repeat_interleave(count.sum(1))
        return owner, point, self.near.index_select(0, at)

    def kept(self, candidates: Tensor, low: Tensor, block: int) -> "Reach":
        """The lists of these candidates alone, without the points that are now covered as well; in one piece each."""
        live = []
        for part in candidates.split(block):
            owner, point, near = self.of(part)
            above = (near > low.index_select(0, point)).nonzero().flatten()
            live.append((part[owner[above]], point[above].int(), near[above]))
        owner, point, near = (torch.cat(column) for column in zip(*live, strict=True))
        kept = Reach(len(self.count), len(self.count), 0, near.dtype, near.device)
        kept.point, kept.near, kept.used = point, near, len(point)
        kept.count = owner.bincount(minlength=len(self.count))[:, None]
        kept.first = kept.count.cumsum(0) - kept.count
        return kept


class Front:
    """At most `size` candidates with the highest bounds, lists at hand; `ceiling` bounds the gains of all others."""

    def __init__(self, reach: Reach, bound: Tensor, low: Tensor, light: Tensor, size: int) -> None:
        best = bound.topk(min(size + 1, len(bound)))
        length = reach.count.index_select(0, best.indices[:size]).sum(1).cumsum(0)
        size = max(1, int((length <= LONG * size).sum()))
        self.at = best.indices[:size]  # (m,)
        self.ceiling = float(best.values[size]) if len(bound) > size else -1.0
        owner, point, near = reach.of(self.at)
        live = (near > low.index_select(0, point)).nonzero().flatten()
        self.owner, self.point, self.near = (part.index_select(0, live) for part in (owner, point, near))
        self.light = light.index_select(0, self.point)
        self.ends = [0, *self.owner.bincount(minlength=len(self.at)).cumsum(0).tolist()]

    def gains(self, low: Tensor) -> Tensor:
        """(m,) float64, as much as each would cover better."""
        excess = (self.near - low.index_select(0, self.point)).clamp_(min=0).mul_(self.light)
        return excess.new_zeros(len(self.at), dtype=torch.float64).index_add_(0, self.owner, excess.double())

    def points(self, positions: Sequence[int], low: Tensor) -> Tensor:
        """Points that the candidates in these positions of the front may cover better, one candidate after another."""
        parts = [slice(self.ends[position], self.ends[position + 1]) for position in positions]
        point, near = (torch.cat([whole[part] for part in parts]) for whole in (self.point, self.near))
        return point[near > low[point]]
