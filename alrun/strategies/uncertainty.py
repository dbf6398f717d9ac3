"""Label what the current model is least sure of. Equal scores go to the lowest pool index."""

from collections.abc import Callable

from torch import Tensor

from ..needs import Need
from ..numerics import uncertainty
from ..numerics.ranking import highest
from ..registry import strategy
from ..types import Selection, Size, View


def memory(size: Size) -> int:
    """Probabilities, a copy of their size, and a few numbers per item."""
    return size.pool * (8 * size.classes + 48)


def most_uncertain(view: View, n: int, measure: Callable[[Tensor], Tensor]) -> Selection:
    """The n unlabelled items with the highest measure of doubt."""
    scores = measure(view.signals.probs(view.unlabelled))  # (u,)
    best = highest(scores, n)
    return Selection(view.unlabelled[best], scores[best])


@strategy(memory=memory, needs=[Need.answers])
def entropy(view: View, n: int) -> Selection:
    """Highest predictive entropy, in nats (Shannon 1948; Settles 2009)."""
    return most_uncertain(view, n, uncertainty.entropy)


@strategy(memory=memory, needs=[Need.answers])
def margin(view: View, n: int) -> Selection:
    """Highest 1 - (p1 - p2), p1 and p2 the two largest probabilities (Scheffer et al. 2001)."""
    return most_uncertain(view, n, uncertainty.margin)


@strategy(memory=memory, needs=[Need.answers])
def least_confidence(view: View, n: int) -> Selection:
    """Highest 1 - p1, p1 the largest probability (Lewis and Gale 1994)."""
    return most_uncertain(view, n, uncertainty.least_confidence)
