"""Greedy k-centre by lazy evaluation: exact picks, without touching every point at every pick.

The greedy rule takes the point farthest from its nearest centre (Gonzalez 1985), within a factor 2 of the smallest
possible covering radius. A distance to the nearest centre only falls as centres are added, so an old distance is an
upper bound: only points whose bound is the largest are measured again, against the centres they have not seen.
"""

import math

import torch
from torch import Tensor

from .distances import squared_distances

BLOCK = 2048  # points measured at once: their float64 copy and (block, centres) distances are all that is held
AHEAD = 16  # points measured again together when the leading bound is out of date


def nearest_distances(points: Tensor, centres: Tensor, *, block: int = BLOCK) -> Tensor:
    """(u,) float64 Euclidean distance of every point to its nearest centre; inf without centres. O(u l D)."""
    scale = _Scale(points)
    return _squared(scale, points, scale.rows(centres), block).sqrt() / scale.factor


def farthest_first(points: Tensor, centres: Tensor, n: int, *, block: int = BLOCK) -> tuple[Tensor, Tensor]:
    """Positions of n points, each the farthest from `centres` and the picks before it, and those distances.

    Equal distances: lowest position. Without centres the first point is the first pick, at distance inf.
    """
    scale = _Scale(points)
    picks, distances = [], []
    if not len(centres):
        picks, distances, centres = [0], [math.inf], points[:1]
    bound = _upper(scale, points, scale.rows(centres), block)  # (u,) squared, -1 once picked
    bound[picks] = -1
    added = bound.new_empty(len(centres) + n, points.shape[1])  # centres since every point was last measured exactly
    added[: len(centres)] = scale.rows(centres)
    fresh, spent, ahead = len(centres), 0, AHEAD
    while len(picks) < n:
        if spent > len(points):  # measuring the leaders again and again has cost a whole pass: do one
            taken = torch.tensor(picks, dtype=torch.int64, device=points.device)
            bound = torch.minimum(bound, _squared(scale, points, added[:fresh], block))
            bound[taken] = -1
            fresh = spent = 0
        top = bound.topk(min(ahead + 1, len(points)))
        lead, rest = top.indices[:ahead], top.values[ahead:].sum()  # all others are at most at `rest`
        if fresh:
            again = squared_distances(scale.rows(points[lead]), added[:fresh], chunk=block).amin(1)
            bound[lead] = torch.minimum(bound[lead], again)
            spent += len(lead)
        best = bound[lead].max()
        if best <= rest and len(lead) < len(points):  # a tie or a late one among the others: look at more of them
            ahead *= 2
            continue
        first = lead[bound[lead] == best].min()
        picks.append(int(first))
        distances.append(math.sqrt(best.item()) / scale.factor)
        bound[first] = -1
        added[fresh] = scale.rows(points[first])
        fresh, ahead = fresh + 1, AHEAD
    return torch.tensor(picks, dtype=torch.int64, device=points.device), bound.new_tensor(distances)


class _Scale:
    """Rows moved towards the origin and shrunk about unit length: float64 keeps the digits that count.

    The move is a whole multiple of the factor, a power of two: what float64 held exactly (ties) stays exact.
    """

    def __init__(self, points: Tensor) -> None:
        low, high = points.amin(0).double(), points.amax(0).double()
        spread = torch.linalg.vector_norm(high - low).item()
        self.factor = 2.0 ** -math.ceil(math.log2(spread)) if spread > 0 else 1.0
        self.shift = ((low + high) / 2 * self.factor).round() / self.factor

    def rows(self, x: Tensor) -> Tensor:
        return (x.double() - self.shift) * self.factor


def _upper(scale: _Scale, points: Tensor, centres: Tensor, block: int) -> Tensor:
    """(u,) float64, no less than the squared distance to the nearest centre: single precision plus its error."""
    near = centres.float()
    lengths = near.square().sum(1)  # (l,)
    parts, longest = [], lengths.max()
    for x in points.split(block):
        rows = scale.rows(x).float()
        own = rows.square().sum(1)
        parts.append((rows @ near.T).mul_(-2).add_(lengths).amin(1).add_(own))
        longest = torch.maximum(longest, own.max())
    error = 4 * (points.shape[1] + 4) * torch.finfo(torch.float32).eps * longest
    return torch.cat(parts).clamp_min_(0).double() + error


def _squared(scale: _Scale, points: Tensor, centres: Tensor, block: int) -> Tensor:
    if not len(centres):
        return torch.full((len(points),), math.inf, dtype=torch.float64, device=points.device)
    parts = [squared_distances(scale.rows(x), centres, chunk=block).amin(1) for x in points.split(block)]
    return torch.cat(parts).clamp_min_(0)
