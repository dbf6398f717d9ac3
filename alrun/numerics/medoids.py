"""Swaps that raise coverage until none is left: PAM (Kaufman and Rousseeuw 1990) for sum_n w_n max_s k(x_n, s).

With s1 and s2 the best and second best similarity of each point to what covers it, candidate c in the place of medoid m
changes the sum by w (k_c - s1)+ over all points, less w (s1 - max(min(k_c, s1), s2)) over those that m covers best: one
column of similarities answers for all m at once (Schubert and Rousseeuw 2021). Columns come in blocks, in the precision
of the features; a swap is made only if it raises the sum in float64. O(N^2 F) a pass over the candidates.
"""

import torch
from torch import Tensor

from .rows import Rows

TOLERANCE = 1e-7  # of the objective: a smaller rise is none


class Medoids:
    """`picks` among `rows`, beside what the labelled set already covers, `base` (n,) float64."""

    def __init__(self, rows: Rows, weights: Tensor, base: Tensor, picks: list[int], *, block: int) -> None:
        self.rows, self.weights, self.base, self.block = rows, weights, base, block
        self.picks = torch.tensor(picks, device=base.device)  # (k,)
        self.first, self.second = base.clone(), base.clone()  # (n,) similarities
        self.owner, self.next = self.picks.new_zeros(len(base)), self.picks.new_zeros(len(base))  # k: the labelled set
        self._look_again(torch.arange(len(base), device=base.device))
        if not bool(self.first.isfinite().all()):  # nothing would ever be better or worse than that
            raise ArithmeticError("similarities to the picks are not finite")
        self.swaps = 0

    def objective(self) -> float:
        """The sum that is raised."""
        return float(self.weights @ self.first)

    def losses(self) -> Tensor:
        """(k,) what the sum would lose without each medoid."""
        lost = self.first.new_zeros(len(self.picks) + 1)
        return lost.index_add_(0, self.owner, self.weights * (self.first - self.second))[:-1]

    def improve(self) -> None:
        """Swap until a whole pass finds nothing. Candidates come by what they promised when last looked at."""
        promise = torch.full_like(self.first, -torch.inf)  # (n,)
        for at in self._candidates(promise):
            promise[at] = self._rises(self._columns(at)).amax(1)
        if float(promise.max()) <= 0:
            return
        before = -1
        while self.swaps != before:  # a swap with a late candidate may make an early one worth it
            before = self.swaps
            for at in self._candidates(promise):
                promise[at] = self._swap_with(at)

    def _candidates(self, promise: Tensor) -> list[Tensor]:
        order = promise.argsort(descending=True, stable=True)
        return [at for at in order[~torch.isin(order, self.picks)].split(self.block) if len(at)]

    def _columns(self, at: Tensor) -> list[Tensor]:
        """Similarities of all points to these candidates, at least as large as they are, block by block of points."""
        starts = range(0, len(self.rows), self.rows.block)
        return [self.rows.upper(slice(s, min(s + self.rows.block, len(self.rows))), at) for s in starts]

    def _rises(self, columns: list[Tensor]) -> Tensor:
        """(m, k) by how much the sum would rise with each of m candidates in the place of each medoid."""
        k, m = len(self.picks), columns[0].shape[1]
        gained, kept = self.first.new_zeros(m), self.first.new_zeros(k + 1, m)
        start = 0
        for near in columns:  # (block, m)
            at = slice(start, start + len(near))
            first, second, weights = (part[at, None].to(near.dtype) for part in (self.first, self.second, self.weights))
            gained += ((near - first).clamp_(min=0) * weights).sum(0)
            left = torch.minimum(near, first).clamp_(min=second).sub_(first).mul_(weights)
            part = near.new_zeros(k + 1, m).index_add_(0, self.owner[at], left)
            kept += part
            start += len(near)
        return (gained + kept[:k]).T

    def _swap_with(self, at: Tensor) -> Tensor:
        """Swap with these candidates while it helps; (m,) the rise that is left, as far as the columns tell."""
        columns, refused = self._columns(at), torch.zeros(len(at), dtype=torch.bool, device=at.device)
        rises = self._rises(columns)
        while True:
            best = rises.amax(1).masked_fill(refused | torch.isin(at, self.picks), -torch.inf)  # (m,)
            leader = int(best.argmax())
            least = TOLERANCE * self.objective()
            if float(best[leader]) <= least:
                return best
            near = self._exact(at[leader : leader + 1])  # (n,)
            true = self._rises([near[:, None]])[0]  # (k,)
            if float(true.max()) > least:
                self._swap(int(true.argmax()), at[leader], near)
                refused.zero_()
                rises = self._rises(columns)
            else:
                refused[leader] = True

    def _exact(self, candidate: Tensor) -> Tensor:
        centre = self.rows.unit(candidate, torch.float64)  # (1, F)
        starts = range(0, len(self.rows), self.rows.block)
        return torch.cat([self.rows.exact(slice(s, s + self.rows.block), centre)[:, 0] for s in starts])

    def _swap(self, medoid: int, candidate: Tensor, near: Tensor) -> None:
        """Put `candidate`, with similarities `near` (n,), in the place of a medoid."""
        self.picks[medoid] = candidate
        self.swaps += 1
        lost = (self.owner == medoid) | (self.next == medoid)
        best, fair = ~lost & (near > self.first), ~lost & (near > self.second)
        self.second = torch.where(best, self.first, torch.where(fair, near, self.second))
        self.next = torch.where(best, self.owner, torch.where(fair, medoid, self.next))
        self.first = torch.where(best, near, self.first)
        self.owner = torch.where(best, medoid, self.owner)
        self._look_again(lost.nonzero().flatten())

    def _look_again(self, points: Tensor) -> None:
        """Find what covers these points best and second best."""
        centres = self.rows.unit(self.picks, torch.float64)  # (k, F)
        for part in points.split(self.rows.block):
            near = torch.cat([self.rows.exact(part, centres), self.base[part, None]], dim=1)  # (block, k + 1)
            best = near.topk(2, dim=1)
            self.first[part], self.second[part] = best.values.unbind(1)
            self.owner[part], self.next[part] = best.indices.unbind(1)
