"""Weighted k-means: spread the batch over the most uncertain part of the pool."""

from ..errors import UserError
from ..needs import Need
from ..numerics.kmeans import weighted_picks
from ..numerics.ranking import highest
from ..numerics.uncertainty import margin
from ..registry import strategy
from ..types import Selection, Size, View

BLOCK = 4096  # candidates measured at a time
BETA = 10  # what the estimate of memory assumes


def memory(size: Size) -> int:
    """Probabilities with a copy, the candidates in float64 three times over, and a block."""
    candidates = min(size.pool, BETA * size.batch)
    return size.pool * (8 * size.classes + 48) + 24 * candidates * size.features + 16 * BLOCK * size.batch


@strategy(memory=memory, needs=[Need.answers])
def weighted_kmeans(view: View, n: int, *, beta: int) -> Selection:
    """n clusters of the beta n least certain items, weighted by 1 - (p1 - p2); the item nearest each centre (Zhdanov
    2019). No code was released: first centres are drawn as k-means++ would, by weight times squared distance, and
    features are taken as they come. An empty cluster gives the most uncertain item not yet chosen. Scores are weights.
    """
    if beta < 1:
        raise UserError(f"strategy.beta={beta} leaves fewer candidates than the batch", "strategy.beta=1 or more")
    doubt = margin(view.signals.probs(view.unlabelled))  # (u,)
    candidates = highest(doubt, min(beta * n, len(doubt)))  # (m,) most uncertain first
    weights = doubt[candidates].double().clamp_(min=0)
    points = view.signals.features(view.unlabelled[candidates])  # (m, F)
    picks = weighted_picks(points, weights, n, view.rng, block=BLOCK).sort().values
    return Selection(view.unlabelled[candidates[picks]], weights[picks])
