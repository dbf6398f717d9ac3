"""Weighted k-means: Lloyd's algorithm from given or drawn centres, all in float64.

Minimises sum_i w_i min_c |x_i - c|^2. Meant for candidates that a filter has left over: O(n k D) a step.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .ranking import highest

NEAR = 1e-10  # relative squared distance below which two rows are one
STEPS = 1000  # Lloyd's algorithm ends by itself; rounding could make it go in circles


class Clusters(NamedTuple):
    """Where Lloyd's algorithm came to rest."""

    centres: Tensor  # (k, D) float64; one that lost all its points stays where it was
    members: Tensor  # (n,) int64 cluster of each point
    squared: Tensor  # (n,) float64 squared distance to its centre
    steps: int


def nearest_centre(points: Tensor, centres: Tensor, *, block: int) -> tuple[Tensor, Tensor]:
    """(n,) nearest centre, the first among equals, and (n,) the squared distance to it, by direct differences.

    Compared as seen from about the centres' mean, so that a common offset costs no digits; from a whole number, so that
    differences which were exact remain so, and ties with them.
    """
    middle = centres.mean(0).round()
    centres = centres - middle
    members, squared = [], []
    for part in points.split(block):
        part = part.double() - middle
        score = torch.addmm(centres.square().sum(1), part, centres.T, alpha=-2)  # (block, k) without |x|^2
        nearest = score.argmin(1)
        members.append(nearest)
        squared.append((part - centres[nearest]).square_().sum(1))
    return torch.cat(members), torch.cat(squared)


def lloyd(points: Tensor, weights: Tensor, centres: Tensor, *, block: int) -> Clusters:
    """Means and assignments in turn until no assignment changes. `weights` (n,) are not negative."""
    weights, centres = weights.double(), centres.double()
    members, squared = nearest_centre(points, centres, block=block)
    steps = 0
    moved = True
    while moved and steps < STEPS:
        steps += 1
        sums = torch.zeros_like(centres).index_add_(0, members, points.double() * weights[:, None])
        mass = weights.new_zeros(len(centres)).index_add_(0, members, weights)[:, None]  # (k, 1)
        centres = torch.where(mass > 0, sums / mass.where(mass > 0, 1), centres)
        before, (members, squared) = members, nearest_centre(points, centres, block=block)
        moved = not torch.equal(before, members)
    return Clusters(centres, members, squared, steps)


def seeds(points: Tensor, weights: Tensor, k: int, rng: np.random.Generator) -> Tensor:
    """(m,) positions of m <= k first centres: k-means++, drawn by weight times squared distance to the ones before.

    Fewer than k when nothing that has weight is apart from them.
    """
    picks: list[int] = []
    mass = weights.double()  # (n,)
    squared = torch.full_like(mass, torch.inf)
    while len(picks) < k:
        total = mass.cumsum(0)
        if not float(total[-1]) > 0:
            break
        thrown = torch.tensor([float(total[-1]) * rng.random()], dtype=torch.float64, device=mass.device)
        drawn = int(torch.searchsorted(total, thrown, right=True).clamp_(max=len(total) - 1))
        picks.append(drawn)
        squared = torch.minimum(squared, (points.double() - points[drawn].double()).square_().sum(1))
        mass = weights * squared
    return torch.tensor(picks, dtype=torch.int64, device=points.device)


def nearest_members(found: Clusters) -> Tensor:
    """Positions of the point nearest to each centre among its members, in the order of the centres; empty ones: none.

    Equally near: the lowest position.
    """
    best = found.squared.new_full((len(found.centres),), torch.inf)
    best.scatter_reduce_(0, found.members, found.squared, "amin")
    nearest = (found.squared == best[found.members]).nonzero().flatten()  # ascending
    first = best.new_full((len(best),), len(found.members)).long()
    first.scatter_reduce_(0, found.members[nearest], nearest, "amin")
    return first[first < len(found.members)]


def weighted_picks(points: Tensor, weights: Tensor, k: int, rng: np.random.Generator, *, block: int) -> Tensor:
    """(k,) positions: the point nearest to each of k drawn, settled centres; for empty clusters the heaviest left."""
    picks = seeds(points, weights, k, rng)
    if len(picks):
        picks = nearest_members(lloyd(points, weights, points[picks], block=block))
    if len(picks) == k:
        return picks
    left = weights.index_fill(0, picks, -torch.inf)
    return torch.cat([picks, highest(left, k - len(picks))])


def spread(points: Tensor, n: int, rng: np.random.Generator, *, block: int = 4096) -> tuple[Tensor, Tensor]:
    """Positions (n,) of a k-means++ draw that starts at the longest row, and their squared distances (n,) when picked.

    Distances are float64 differences. When all that is left coincides with a pick, the rest is uniform.
    """
    lengths = torch.cat([part.double().square().sum(1) for part in points.split(block)])  # (N,)
    picks, scores = [int(lengths.argmax())], [float(lengths.max())]
    squared = torch.full_like(lengths, torch.inf)
    while len(picks) < n:
        last = points[picks[-1]].double()
        moved = torch.cat([(part.double() - last).square_().sum(1) for part in points.split(block)])
        moved[moved <= NEAR * (lengths + lengths[picks[-1]])] = 0  # the same gradient, computed in another batch
        squared = torch.minimum(squared, moved)
        squared[picks] = 0
        mass = squared.cumsum(0)
        total = float(mass[-1])
        if not total > 0:
            free = np.setdiff1d(np.arange(len(points)), picks)
            rest = rng.choice(free, n - len(picks), replace=False).tolist()
            picks, scores = picks + rest, scores + [0.0] * len(rest)
            break
        thrown = torch.tensor([total * rng.random()], dtype=torch.float64, device=mass.device)
        pick = int(torch.searchsorted(mass, thrown, right=True).clamp_(max=len(mass) - 1))
        picks.append(pick)
        scores.append(float(squared[pick]))
    return torch.tensor(picks, device=points.device), torch.tensor(scores, dtype=torch.float64, device=points.device)
