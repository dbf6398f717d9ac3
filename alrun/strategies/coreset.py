"""Coreset: the items that leave no pool item far from a labelled one."""

from enum import StrEnum

from ..numerics.kcentre import farthest_first
from ..registry import strategy
from ..types import Selection, Size, View


class Space(StrEnum):
    """Where distances are measured."""

    embeddings = "embeddings"  # of the current model, as in the paper
    features = "features"  # of the frozen encoder, as they come


def memory(size: Size) -> int:
    """Bytes: the rows twice, two distances per item, and a block in float64."""
    width = max(size.features, size.embeddings)
    return size.pool * (8 * width + 16) + 8 * 2048 * (width + size.labelled + size.batch)


@strategy(memory=memory, needs=[])
def coreset(view: View, n: int, *, space: Space) -> Selection:
    """The item farthest from the labelled set and the picks before it, again and again (Sener and Savarese 2018).

    Scores are those distances. With nothing labelled the first item is the first unlabelled one, at distance inf.
    The greedy rule of their algorithm 1; the mixed-integer refinement of algorithm 2 was never released.
    """
    rows = view.signals.features if space == Space.features else view.signals.embeddings
    picks, distances = farthest_first(rows(view.unlabelled), rows(view.labelled), n)
    return Selection(view.unlabelled[picks], distances)
