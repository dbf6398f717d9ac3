"""Greedy maximisation of weighted coverage, sum_n w_n max_s k(x_n, x_s): Bae et al. 2024, 2025.

Gains never grow as points get covered, so an old gain is an upper bound, and only leaders are computed anew (lazy
greedy, Minoux 1978). The first bounds take one pass over half of the symmetric matrix of similarities, in tiles. A
candidate's gain comes from the few points that it would cover better than they are: once these lists fit in memory they
are kept, and no similarity is computed twice. Bounds are in the precision of the features; winners in float64.
"""

import math

import torch
from torch import Tensor

from .reach import Reach
from .rows import Rows

TIE = 1e-12  # relative difference of gains that is rounding
ROUNDED_SUM = 1 + 1e-5  # a sum of upper bounds stays one


def covered_by(rows: Rows, centres: Tensor) -> Tensor:
    """(n,) float64, largest similarity of each row to a centre, 0 without centres. `centres` are unit rows (m, F)."""
    covered = torch.zeros(len(rows), dtype=torch.float64, device=centres.device)
    for part in centres.split(rows.block) if len(centres) else ():
        for start in range(0, len(rows), rows.block):
            at = slice(start, start + rows.block)
            covered[at] = torch.maximum(covered[at], rows.exact(at, part).amax(1))
    return covered


class Greedy:
    """Greedy picks among `rows`, continued from batch to batch.

    `leaders` bounds are refreshed at a time, `tile` is the side of a tile, `per_item` the mean length of the lists that
    may be kept. The picks depend on none of them.
    """

    def __init__(self, rows: Rows, weights: Tensor, covered: Tensor, *, leaders: int, tile: int, per_item: int) -> None:
        self.rows, self.weights, self.leaders, self.tile = rows, weights, leaders, tile
        self.covered = covered.where(weights > 0, math.inf)  # (n,) float64; what has no weight gives no gain
        self.low = (self.covered * rows.low).to(rows.dtype)  # (n,) just below
        self.light = weights.to(rows.dtype)
        self.noise = 1e-13 * float(weights.sum())
        self.capacity = per_item * len(rows)
        self.reach: Reach | None = None
        self.computed = 0  # columns since memory was last asked for lists
        self.bound = self._all_bounds()  # (n,) float64, -1 once picked

    def _lists_fit(self) -> bool:
        """Whether all lists under the present cover fit in memory, judged by a sample of points."""
        some = torch.linspace(0, len(self.rows) - 1, min(64, len(self.rows)), device=self.low.device).long()
        starts = range(0, len(self.rows), self.rows.block)
        parts = (self.rows.upper(some, slice(start, start + self.rows.block)) for start in starts)
        sampled = sum(int((part > self.low[some, None]).sum()) for part in parts)
        return 1.2 * sampled * len(self.rows) / len(some) < self.capacity

    def _all_bounds(self) -> Tensor:
        """(n,) gains of all candidates; keeps their lists if they fit."""
        n, size = len(self.rows), self.tile
        gains = torch.zeros(n, dtype=torch.float64, device=self.low.device)
        if self._lists_fit():
            self.reach = Reach(n, size, self.capacity, self.rows.dtype, self.low.device)
        tiles = [slice(start, min(start + size, n)) for start in range(0, n, size)]
        for index, left in enumerate(tiles):
            for right in tiles[index:]:
                near = self.rows.upper(left, right)  # (tile, tile) serves both its rows and its columns
                self._gather(gains, left, right, near)
                if left != right:
                    self._gather(gains, right, left, near.T)
        return gains.mul_(ROUNDED_SUM)

    def _gather(self, gains: Tensor, candidates: slice, points: slice, near: Tensor) -> None:
        excess = (near - self.low[points]).clamp_(min=0)  # (candidates, points)
        gains[candidates] += excess @ self.light[points]
        if self.reach and not self.reach.add(candidates, points, near, (excess > 0).contiguous()):
            self.reach = None

    def _refresh(self, at: Tensor) -> None:
        """Bounds of these candidates under the present cover."""
        if self.reach:
            owner, point, near = self.reach.of(at)
            gains = torch.zeros(len(at), dtype=torch.float64, device=at.device)
            excess = (near - self.low[point]).clamp_(min=0) * self.light[point]
            gains.index_add_(0, owner, excess.double())
        else:
            self.computed += len(at)
            starts = range(0, len(self.rows), self.rows.block)
            gains = torch.stack([self._excess(at, slice(start, start + self.rows.block)) for start in starts]).sum(0)
        self.bound[at] = torch.minimum(self.bound[at], gains * ROUNDED_SUM)

    def _excess(self, at: Tensor, points: slice) -> Tensor:
        near = self.rows.upper(at, points)  # (m, block)
        return (near.sub_(self.low[points]).clamp_(min=0) @ self.light[points]).double()

    def _exact(self, candidate: Tensor) -> tuple[float, Tensor, Tensor]:
        """Gain, the points it covers better, and how well. float64; `candidate` is (1,)."""
        if self.reach:
            _, point, near = self.reach.of(candidate)
            point = point[near > self.low[point]].long()
        else:
            starts = range(0, len(self.rows), self.rows.block)
            parts = [self.rows.upper(candidate, slice(s, s + self.rows.block))[0] for s in starts]
            point = (torch.cat(parts) > self.low).nonzero().flatten()
        centre = self.rows.unit(candidate, torch.float64)  # (1, F)
        near = torch.cat([self.rows.exact(part, centre)[:, 0] for part in point.split(self.rows.block)])
        gain = (near - self.covered[point]).clamp_(min=0) @ self.weights[point]
        return float(gain), point, near

    def pick(self) -> tuple[int, float]:
        """The next position and its gain; the lowest position among equal gains."""
        if self.reach is None and self.computed > len(self.rows) / 4:
            self.computed = 0
            if self._lists_fit():
                self.bound = torch.minimum(self.bound, self._all_bounds())
        stale, fresh = self.bound.clone(), torch.full_like(self.bound, -1)  # (n,) a candidate is in one of the two
        exact: dict[int, tuple[float, Tensor, Tensor]] = {}  # or here
        best, batch = 0.0, self.leaders
        while True:
            least = max(best * (1 - TIE) - self.noise, self.noise)
            leading = max(float(fresh.max()), least)
            if float(stale.max()) > leading:
                at = stale.topk(min(batch, len(stale))).indices
                at = at[stale[at] > leading]
                self._refresh(at)
                fresh[at], stale[at] = self.bound[at], -1
                batch *= 2
                continue
            hopeful = fresh.argmax()[None] if not exact else (fresh > least).nonzero().flatten()
            if not len(hopeful) or float(fresh[hopeful[0]]) <= least:
                break
            for item in hopeful.tolist():
                exact[item] = self._exact(hopeful.new_tensor([item]))
                gain = exact[item][0]
                self.bound[item] = gain if gain > self.noise else 0
                best = max(best, gain)
            fresh[hopeful] = -1
        if best <= self.noise:  # all gains are zero
            chosen, gain = int((self.bound >= 0).nonzero()[0]), 0.0
        else:
            chosen = min(item for item, (gain, *_) in exact.items() if gain >= best * (1 - TIE) - self.noise)
            gain, point, near = exact[chosen]
            self.cover(point, near)
        self.bound[chosen] = -1
        return chosen, gain

    def cover(self, point: Tensor, near: Tensor) -> None:
        """Points (e,) are now covered at least this well."""
        self.covered[point] = torch.maximum(self.covered[point], near)
        self.low[point] = (self.covered[point] * self.rows.low).to(self.low.dtype)

    def tidy(self) -> None:
        """Forget what can no longer matter, so that the next batch is faster."""
        if self.reach:
            self.reach = self.reach.kept((self.bound >= 0).nonzero().flatten(), self.low, self.rows.block)

    def label(self, candidate: Tensor) -> None:
        """Something else chose this candidate (1,)."""
        _, point, near = self._exact(candidate)
        self.cover(point, near)
        self.bound[candidate] = -1
