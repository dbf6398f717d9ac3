"""Information density: uncertain, and like much of the pool."""

from alrun.numerics.distances import unit_rows
from alrun.numerics.ranking import highest
from alrun.numerics.uncertainty import entropy
from alrun.registry import strategy
from alrun.types import Selection, View


@strategy
def density(view: View, n: int, *, beta: float) -> Selection:
    """Predictive entropy times (mean cosine to the unlabelled pool)^beta (Settles and Craven, 2008)."""
    points = unit_rows(view.signals.features(view.unlabelled))  # (u, F)
    likeness = (points @ points.mean(dim=0)).clamp(min=0)  # (u,) mean cosine, by linearity
    doubt = entropy(view.signals.probs(view.unlabelled))  # (u,) nats
    scores = doubt * likeness**beta  # (u,)
    best = highest(scores, n)
    return Selection(view.unlabelled[best], scores[best])
