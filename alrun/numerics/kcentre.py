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
    bound = _squared(scale, points, scale.rows(centres), block)  # (u,) squared
    bound[picks] = -1
    late = torch.zeros(len(points), dtype=torch.bool, device=points.device)  # (u,) not measured since the last pick
    added = bound.new_empty(n, points.shape[1])  # picks since every point was last measured
    fresh = spent = 0
    while len(picks) < n:
        first = int(bound.argmax())
        if not late[first]:
            picks.append(first)
            distances.append(math.sqrt(bound[first].item()) / scale.factor)
            bound[first] = -1
            added[fresh] = scale.rows(points[first])
            fresh += 1
            late.fill_(True)
        elif spent > len(points):  # measuring the leaders again and again has cost a whole pass: do one
            taken = torch.tensor(picks, device=points.device)
            bound = torch.minimum(bound, _squared(scale, points, added[:fresh], block))
            bound[taken] = -1
            late.fill_(False)
            fresh = spent = 0
        else:
            lead = torch.where(late, bound, -1).topk(min(AHEAD, len(points))).indices
            lead = lead[bound[lead] >= 0]
            again = squared_distances(scale.rows(points[lead]), added[:fresh], chunk=block).amin(1)
            bound[lead] = torch.minimum(bound[lead], again)
            late[lead] = False
            spent += len(lead)
    return torch.tensor(picks, device=points.device), bound.new_tensor(distances)


class _Scale:
    """Rows moved towards the origin and shrunk about unit length: float64 keeps the digits that count.

    The move is a whole multiple of the factor, a power of two: what float64 held exactly (ties) stays exact.
    """

    def __init__(self, points: Tensor) -> None:
        low, high = (x.double() for x in points.aminmax(dim=0))
        spread = torch.linalg.vector_norm(high - low).item()
        self.factor = 2.0 ** -math.ceil(math.log2(spread)) if spread > 0 else 1.0
        self.shift = ((low + high) / 2 * self.factor).round() / self.factor

    def rows(self, x: Tensor) -> Tensor:
        return (x.double() - self.shift) * self.factor


def _squared(scale: _Scale, points: Tensor, centres: Tensor, block: int) -> Tensor:
    if not len(centres):
        return torch.full((len(points),), math.inf, dtype=torch.float64, device=points.device)
    parts = [squared_distances(scale.rows(x), centres, chunk=block).amin(1) for x in points.split(block)]
    return torch.cat(parts).clamp_min_(0)
