"""Greedy maximisation of weighted coverage, sum_n w_n max_s k(x_n, x_s): Bae et al. 2024, 2025.

Gains never grow as points get covered, so an old gain is an upper bound, and only leaders are computed anew (lazy
greedy, Minoux 1978). The first bounds take one pass over half of the symmetric matrix of similarities, in tiles. A
candidate's gain comes from the few points that it would cover better than they are: once these lists fit in memory they
are kept, and no similarity is computed twice. Bounds are in the precision of the features; winners in float64.
"""

import math

import torch
from torch import Tensor

from .bounds import listed, summed
from .reach import Front, Reach
from .rows import Rows

TIE = 1e-12  # relative difference of gains that is rounding
ROUNDED_SUM = 1 + 1e-5  # a sum of upper bounds stays one
FRONT = 8  # times `leaders`: bounds that are refreshed at a time where lists make it cheap
RETRY = 32  # lists may fit after so small a part of all columns; twice as many after each vain attempt
ALONE = 8  # leaders whose gains are computed one by one; that many are tied, and there may be thousands
NOISE = 1e-13  # gains up to so much of all weights are zero
FLOOR = 0.1 * NOISE  # similarities up to it cover nothing: all points together gain less than the noise by them

Exact = tuple[float, Tensor, Tensor]  # a gain, the points that are covered better, and how well


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
        self.low = (self.covered * rows.low).clamp_(min=FLOOR).to(rows.dtype)  # (n,) just below
        self.light = weights.to(rows.dtype)
        self.noise = NOISE * float(weights.sum())
        self.capacity = per_item * len(rows)
        self.reach: Reach | None = None
        self.front: Front | None = None
        self.seen: dict[int, Exact] = {}  # candidates of the present pick that were computed one by one
        self.computed = 0  # columns since memory was last asked for lists
        self.patience = len(rows) / RETRY  # columns until it is asked again
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
        given = self.rows, self.low, self.light
        if self._lists_fit():
            self.reach = Reach(len(self.rows), self.tile, self.capacity, self.rows.dtype, self.low.device)
            gains = listed(*given, self.reach)
            if gains is not None:
                return gains.mul_(ROUNDED_SUM)
            self.reach = None
        return summed(*given, self.tile).mul_(ROUNDED_SUM)

    def _refresh(self, at: Tensor) -> None:
        """Bounds of these candidates under the present cover, where there are no lists."""
        self.computed += len(at)
        starts = range(0, len(self.rows), self.rows.block)
        for part in at.split(self.tile):
            gains = torch.stack([self._excess(part, slice(s, s + self.rows.block)) for s in starts]).sum(0)
            self.bound[part] = torch.minimum(self.bound[part], gains * ROUNDED_SUM)

    def _excess(self, at: Tensor, points: slice) -> Tensor:
        near = self.rows.upper(at, points)  # (m, block)
        return (near.sub_(self.low[points]).clamp_(min=0) @ self.light[points]).double()

    def _points(self, candidate: int) -> Tensor:
        """Points that this candidate may cover better."""
        at = torch.tensor([candidate], device=self.low.device)
        if self.reach:
            _, point, near = self.reach.of(at)
            return point[near > self.low[point]]
        starts = range(0, len(self.rows), self.rows.block)
        parts = [self.rows.upper(at, slice(s, s + self.rows.block))[0] for s in starts]
        return (torch.cat(parts) > self.low).nonzero().flatten()

    def _gains(self, candidates: Tensor, point: Tensor) -> Tensor:
        """(m,) float64 gains of several candidates, at points that hold all that one of them covers better."""
        centres = self.rows.unit(candidates, torch.float64)  # (m, F)
        gains = torch.zeros(len(candidates), dtype=torch.float64, device=centres.device)
        for part in point.split(self.rows.block):
            excess = self.rows.exact(part, centres).sub_(self.covered.index_select(0, part)[:, None]).clamp_(min=0)
            gains += self.weights.index_select(0, part) @ excess
        return gains

    def _exact(self, candidate: int, point: Tensor) -> Exact:
        """Its gain, and how well it covers these points. float64."""
        centre = self.rows.unit(slice(candidate, candidate + 1), torch.float64)  # (1, F)
        starts = range(0, max(1, len(point)), self.rows.block)
        near = torch.cat([self.rows.exact(point[s : s + self.rows.block], centre)[:, 0] for s in starts])
        gain = (near - self.covered.index_select(0, point)).clamp_(min=0) @ self.weights.index_select(0, point)
        return float(gain), point, near

    def _least(self, best: float) -> float:
        """What a bound must be above for its candidate to matter beside a gain of `best`."""
        missed = FLOOR / NOISE * self.noise  # what bounds may lack
        return max(best * (1 - TIE) - self.noise, self.noise) - missed

    def _by_columns(self) -> dict[int, float]:
        """Gains of all candidates that may be best, without lists: leaders are computed anew until none is ahead."""
        stale, fresh = self.bound.clone(), torch.full_like(self.bound, -1)  # (n,) a candidate is in one of the two
        exact: dict[int, float] = {}  # or here
        every = torch.arange(len(self.rows), device=self.low.device)
        best, batch = 0.0, self.leaders
        while True:
            item = int(fresh.argmax())
            leading = max(float(fresh[item]), self._least(best))
            if float(stale.max()) > leading:
                at = stale.topk(min(batch, len(stale))).indices
                at = at[stale[at] > leading]
                self._refresh(at)
                fresh[at], stale[at] = self.bound[at], -1
                batch *= 2
            elif float(fresh[item]) <= self._least(best):
                return exact
            elif len(exact) < ALONE:
                self.seen[item] = self._exact(item, self._points(item))
                exact[item] = self.seen[item][0]
                best = max(best, exact[item])
                self.bound[item], fresh[item] = exact[item], -1
            else:
                at = fresh.topk(min(self.leaders, len(fresh))).indices
                at = at[fresh[at] > self._least(best)]
                gains = self._gains(at, every)
                exact |= dict(zip(at.tolist(), gains.tolist(), strict=True))
                best = max(best, float(gains.max()))
                self.bound[at], fresh[at] = gains, -1

    def _by_lists(self, reach: Reach) -> dict[int, float]:
        """Gains of all candidates that may be best, with lists: the highest bounds are computed anew together."""
        size = FRONT * self.leaders
        while True:
            if self.front:
                bound = self.front.gains(self.low).mul_(ROUNDED_SUM)  # (m,)
                bound.masked_fill_(self.bound.index_select(0, self.front.at) < 0, -1)
                exact = self._ahead(self.front, bound.clone())
                if exact is not None:
                    return exact
                self.bound[self.front.at] = bound
            self.front = Front(reach, self.bound, self.low, self.light, size)
            size *= 2

    def _ahead(self, front: Front, bound: Tensor) -> dict[int, float] | None:
        """Gains of all of the front that may be best, as its bounds (m,) tell; None if another candidate may be."""
        exact: dict[int, float] = {}
        best = 0.0
        while True:
            position = int(bound.argmax())
            upper = float(bound[position])
            if max(upper, front.ceiling) <= self._least(best):
                return exact
            if upper <= front.ceiling:
                return None
            if len(exact) < ALONE:
                item = int(front.at[position])
                self.seen[item] = self._exact(item, front.points([position], self.low))
                exact[item] = self.seen[item][0]
                best = max(best, exact[item])
                bound[position] = -1
                continue
            at = bound.topk(min(self.leaders, len(bound))).indices
            at = at[bound[at] > max(self._least(best), front.ceiling)]
            gains = self._gains(front.at[at], front.points(at.tolist(), self.low).unique())
            exact |= dict(zip(front.at[at].tolist(), gains.tolist(), strict=True))
            best = max(best, float(gains.max()))
            bound[at] = -1

    def pick(self) -> tuple[int, float]:
        """The next position and its gain; the lowest position among equal gains."""
        if self.reach is None and self.computed > self.patience:
            self.computed, self.patience = 0, 2 * self.patience
            if self._lists_fit():
                self.bound = torch.minimum(self.bound, self._all_bounds())
        exact = self._by_lists(self.reach) if self.reach else self._by_columns()
        best = max(exact.values(), default=0.0)
        if best <= self.noise:  # all gains are zero
            chosen, gain = int((self.bound >= 0).nonzero()[0]), 0.0
        else:
            chosen = min(item for item, gain in exact.items() if gain >= best * (1 - TIE) - self.noise)
            gain, point, near = self.seen.get(chosen) or self._exact(chosen, self._points(chosen))
            self.cover(point, near)
        self.seen.clear()
        self.bound[chosen] = -1
        return chosen, gain

    def cover(self, point: Tensor, near: Tensor) -> None:
        """Points (e,) are now covered at least this well."""
        covered = torch.maximum(self.covered.index_select(0, point), near)
        self.covered[point] = covered
        self.low[point] = (covered * self.rows.low).clamp_(min=FLOOR).to(self.low.dtype)

    def tidy(self) -> None:
        """Forget what can no longer matter, so that the next batch is faster."""
        if self.reach:
            self.reach = self.reach.kept((self.bound >= 0).nonzero().flatten(), self.low, self.rows.block)

    def label(self, candidate: int) -> None:
        """Something else chose this candidate."""
        _, point, near = self._exact(candidate, self._points(candidate))
        self.cover(point, near)
        self.bound[candidate] = -1
