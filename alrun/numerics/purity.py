"""The largest radius at which balls keep to one class: ProbCover's rule for delta, by an order statistic."""

import math

import torch
from torch import Tensor

BLOCK = 256  # rows of similarities held at once


def other_class_distances(points: Tensor, classes: Tensor, *, block: int = BLOCK) -> Tensor:
    """(n,) float64 distance of each row of length 1 to the nearest row of another class; inf with one class alone.

    The nearest is found in the precision of `points`, its distance is computed in float64. O(n^2 F) time.
    """
    distances = torch.full((len(points),), math.inf, dtype=torch.float64, device=points.device)
    lengths = points.square().sum(1)  # (n,)
    for start in range(0, len(points), block):
        rows = slice(start, start + block)
        near = (points[rows] @ points.T).mul_(2).sub_(lengths)  # (block, n) larger is nearer
        near.masked_fill_(classes[rows, None] == classes, -math.inf)
        best, nearest = near.max(1)
        exact = torch.linalg.vector_norm(points[rows].double() - points[nearest].double(), dim=1)
        distances[rows] = exact.where(best > -math.inf, math.inf)
    return distances


def purity(distances: Tensor, radius: float) -> float:
    """Share of points whose open ball holds their own class alone."""
    return (distances >= radius).double().mean().item()


def largest_pure_radius(distances: Tensor, threshold: float) -> float:
    """The largest radius with purity >= threshold: as many distances must reach it as the threshold asks for."""
    needed = max(1, math.ceil(threshold * len(distances) - 1e-9))
    return distances.sort(descending=True).values[needed - 1].item()
