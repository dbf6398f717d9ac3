"""Typical points of clusters: TypiClust (Hacohen et al. 2022), as its released code computes it."""

from collections.abc import Iterable

import torch
from torch import Tensor

from .distances import squared_distances, unit_rows

BLOCK = 512  # rows of distances held at once
SOFT = 1e-5  # added to mean distances by the released code


def typicality(points: Tensor, k: int, *, squared: bool, block: int = BLOCK) -> Tensor:
    """(m,) float64 1 / (mean distance to the nearest min(k, m // 2) others + 1e-5); NaN for a point alone.

    `points` are float64 rows of length 1. The released code averages squared distances, the paper plain ones.
    """
    k = min(k, len(points) // 2)
    if k == 0:
        return torch.full((len(points),), torch.nan, dtype=torch.float64, device=points.device)
    means = []
    for start in range(0, len(points), block):
        rows = points[start : start + block]
        distances = squared_distances(rows, points, chunk=block).clamp_min_(0)  # (block, m)
        distances.diagonal(start).fill_(torch.inf)
        nearest = distances.topk(k, dim=1, largest=False).indices  # (block, k)
        # measured again coordinate by coordinate, the same from both ends: mutual nearest neighbours tie
        exact = torch.stack([(rows - points[at]).square_().sum(1) for at in nearest.T], 1).sort(1).values
        means.append((exact if squared else exact.sqrt()).mean(1))
    return 1 / (torch.cat(means) + SOFT)


def ranked_clusters(clusters: Tensor, labelled: Tensor, min_size: int) -> list[int]:
    """Clusters, fewest labelled members first, then the largest, then the lowest name.

    Those with at most `min_size` members come after all others: they are used when nothing else is left.
    """
    k = int(clusters.max()) + 1
    sizes = torch.bincount(clusters, minlength=k).tolist()
    known = torch.bincount(clusters[labelled], minlength=k).tolist()
    present = [c for c in range(k) if sizes[c]]
    return sorted(present, key=lambda c: (sizes[c] <= min_size, known[c], -sizes[c], c))


def typical_points(
    features: Tensor, clusters: Tensor, labelled: Tensor, n: int, *, k: int, min_size: int, squared: bool
) -> tuple[list[int], list[float]]:
    """Positions of n typical points and their typicality, one cluster after the other; equal ones lowest position.

    The i-th pick comes from place i of the ranking, modulo the number of clusters with more than `min_size` members; a
    used-up cluster passes its turn to the next that has members. `labelled` (n,) bool is never picked; `features` count
    as directions.
    """
    ranking = ranked_clusters(clusters, labelled, min_size)
    sizes = torch.bincount(clusters).tolist()
    large = [c for c in ranking if sizes[c] > min_size]
    free = (~labelled).nonzero().flatten()
    order = free[clusters[free].argsort(stable=True)]  # by cluster, then by position
    left = dict(_groups(clusters, order))
    picks, values = [], []
    for turn in range(n):
        chosen = next((c for c in _from(large, turn) if c in left), None)
        if chosen is None:
            chosen = next(c for c in ranking if c in left)
        members = left[chosen]
        scores = typicality(unit_rows(features[members]), k, squared=squared)
        at = 0 if len(members) == 1 else int(scores.argmax())
        picks.append(int(members[at]))
        values.append(scores[at].item())
        left[chosen] = torch.cat([members[:at], members[at + 1 :]])
        if not len(left[chosen]):
            del left[chosen]
    return picks, values


def _groups(clusters: Tensor, order: Tensor) -> Iterable[tuple[int, Tensor]]:
    names, counts = clusters[order].unique_consecutive(return_counts=True)
    return zip(names.tolist(), order.split(counts.tolist()), strict=True)


def _from(large: list[int], turn: int) -> list[int]:
    start = turn % len(large) if large else 0
    return large[start:] + large[:start]
