"""ActiveFT's centroids: a few directions that stand for many, pushed apart (Xie et al. 2023, Eq. 4-7)."""

import math

import torch
from torch import Tensor

NORM = 1e-12  # shortest length that is divided by


class Anchors:
    """Free directions (k, F) that follow unit `points` (n, F) by Adam, among `frozen` ones (m, F).

    The loss is the mean over points of log(1 + exp(log S_c - s)), s = f.phi_c / T with c the closest direction, and
    S_c = balance * sum_j exp(phi_j.phi_c / T) over all directions j, c itself included as in the released code. Only
    phi_c has a gradient there, phi_j none. What frozen directions are to points and to each other is measured once. A
    point is compared with the free ones again only when they have moved by more than its closest direction leads by:
    for unit vectors a similarity cannot change by more than the direction does.
    """

    def __init__(
        self,
        points: Tensor,
        free: Tensor,
        frozen: Tensor,
        *,
        temperature: float,
        balance: float,
        rate: float,
        block: int,
    ) -> None:
        self.points, self.temperature, self.balance, self.block = points, temperature, balance, block
        self.free = free.double().clone()  # (k, F) any length
        self.frozen = frozen.double()
        parts = self.frozen.split(block)
        among = [(part @ self.frozen.T / temperature).logsumexp(1) for part in parts]  # each (block,)
        self.among = torch.cat(among)  # (m,) log of what frozen ones say to frozen ones: the same in every step
        self.adam = torch.optim.Adam([self.free], lr=rate)
        self.fixed = torch.zeros(len(points), dtype=torch.int64, device=points.device)  # closest frozen direction
        self.reached = points.new_full((len(points),), -torch.inf)  # (n,) its similarity
        if len(frozen):
            for start in range(0, len(points), block):
                at = slice(start, start + block)
                self.reached[at], self.fixed[at] = _first_highest(points[at] @ frozen.to(points.dtype).T)
        self.closest = torch.zeros_like(self.fixed)
        self.lead = points.new_full((len(points),), -1.0)  # how far the directions may move before c can be another

    def directions(self) -> Tensor:
        """(k + m, F) float64, the free ones first."""
        length = torch.linalg.vector_norm(self.free, dim=1, keepdim=True).clamp(min=NORM)
        return torch.cat([self.free / length, self.frozen])

    def step(self) -> float:
        """One step of Adam; the loss before it."""
        phi, k = self.directions(), len(self.free)
        near = phi[:k] @ phi.T / self.temperature  # (k, k + m)
        repulsion = torch.cat([near.logsumexp(1), self.among.logaddexp(near[:, k:].logsumexp(0))])  # (k + m,)
        repulsion += math.log(self.balance)  # log S
        pull, weight, loss = torch.zeros_like(phi), torch.zeros_like(repulsion), 0.0
        light = phi.to(self.points.dtype)
        for start in range(0, len(self.points), self.block):
            at = slice(start, start + self.block)
            f, closest = self.points[at], self._closest(at, light[:k])
            gap = repulsion[closest] - (f * light[closest]).sum(1).double() / self.temperature  # (block,)
            loss += float(torch.nn.functional.softplus(gap).sum())
            slope = gap.sigmoid()
            pull.index_add_(0, closest, f.double() * slope[:, None])
            weight.index_add_(0, closest, slope)
        push = weight[:k, None] * (near.softmax(1) @ phi)  # (k, F)
        gradient = (push - pull[:k]) / (self.temperature * len(self.points))  # with respect to the unit vectors
        length = torch.linalg.vector_norm(self.free, dim=1, keepdim=True).clamp(min=NORM)
        self.free.grad = (gradient - (gradient * phi[:k]).sum(1, keepdim=True) * phi[:k]) / length
        self.adam.step()
        moved = torch.linalg.vector_norm(self.directions() - phi, dim=1)  # (k + m,)
        self.lead -= (moved[self.closest] + moved.max()).to(self.lead.dtype) * (1 + 1e-5)
        return loss / len(self.points)

    def _closest(self, at: slice, free: Tensor) -> Tensor:
        """(block,) closest direction of these points, the first of equals; those without a lead are measured anew."""
        stale = (self.lead[at] <= 0).nonzero().flatten() + at.start
        if len(stale):
            near = self.points[stale] @ free.T  # (s, k)
            best, closest = _first_highest(near)
            second = near.scatter_(1, closest[:, None], -torch.inf).amax(1)
            reached = self.reached[stale]
            ahead = best >= reached
            self.closest[stale] = torch.where(ahead, closest, len(free) + self.fixed[stale])
            self.lead[stale] = torch.where(ahead, best - torch.maximum(second, reached), reached - best)
        return self.closest[at]


def _first_highest(near: Tensor) -> tuple[Tensor, Tensor]:
    """The highest of each row, and where it stands first."""
    closest = near.argmax(1)
    return near.gather(1, closest[:, None]).squeeze(1), closest


def nearest_untaken(points: Tensor, directions: Tensor, *, few: int, block: int) -> tuple[Tensor, Tensor]:
    """(k,) for each direction in turn the most similar point not yet taken, the first among equals; and how similar."""
    best = points.new_empty(0, len(directions))  # (few, k) the most similar so far
    place = torch.empty(0, len(directions), dtype=torch.int64, device=points.device)
    for start in range(0, len(points), block):
        near = points[start : start + block] @ directions.T.to(points.dtype)  # (block, k)
        here = torch.arange(start, start + len(near), device=near.device)[:, None].expand_as(near)
        best, place = torch.cat([best, near]), torch.cat([place, here])
        order = best.sort(dim=0, descending=True, stable=True).indices[:few]
        best, place = best.gather(0, order), place.gather(0, order)
    picks: list[int] = []
    taken = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for k in range(len(directions)):
        free = place[~taken[place[:, k]], k]
        if not len(free):  # all of the few are taken
            near = (points @ directions[k].to(points.dtype)).masked_fill_(taken, -torch.inf)
            free = near.argmax()[None]
        picks.append(int(free[0]))
        taken[picks[-1]] = True
    chosen = torch.tensor(picks, dtype=torch.int64, device=points.device)
    return chosen, (points[chosen].double() * directions).sum(1)
