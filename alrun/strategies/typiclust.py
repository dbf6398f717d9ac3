"""TypiClust: the most typical items of clusters that have few labels."""

from enum import StrEnum

import torch

from ..errors import UserError
from ..numerics.distances import unit_copy
from ..numerics.typicality import typical_points
from ..registry import strategy
from ..types import Selection, Size, View
from .clustering import BATCH, clusters


class Metric(StrEnum):
    """Which distances are averaged."""

    squared = "squared"  # as the released code does
    plain = "plain"  # as the paper's formula reads


def memory(size: Size) -> int:
    """Bytes: unit features in single precision and what mini-batch k-means copies."""
    k = min(500, size.labelled + size.batch)
    return size.pool * (8 * size.features + 60) + 8 * BATCH * (k + size.features)


@strategy(memory=memory, needs=[])
def typiclust(
    view: View, n: int, *, metric: Metric, neighbours: int, min_cluster_size: int, max_clusters: int
) -> Selection:
    """Typicality is 1 / mean distance to the nearest neighbours in the cluster (Hacohen et al. 2022); the score is it.

    min(labelled + n, `max_clusters`) clusters of unit features, those with the fewest labels first. The clustering is
    of the pool alone, where released code also fits it on its validation split.
    """
    if min_cluster_size < 0:
        raise UserError(f"strategy.min_cluster_size={min_cluster_size} is negative", "0 or more")
    for name, value in (("neighbours", neighbours), ("max_clusters", max_clusters)):
        if value < 1:
            raise UserError(f"strategy.{name}={value} is below 1", f"strategy.{name}=1 or more")
    everyone = torch.cat([view.unlabelled, view.labelled]).sort().values  # (N,)
    features = view.signals.features(everyone)
    points = unit_copy(features, block=BATCH)  # (N, F)
    found = clusters(points, min(len(view.labelled) + n, max_clusters, len(points)), view.rng)[0]
    labelled = torch.isin(everyone, view.labelled)
    size = {"k": neighbours, "min_size": min_cluster_size}
    picks, values = typical_points(features, found, labelled, n, **size, squared=metric == Metric.squared)
    scores = torch.tensor(values, dtype=torch.float64, device=everyone.device)
    return Selection(everyone[picks], scores, {"clusters": float(len(found.unique()))})
