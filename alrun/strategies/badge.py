"""BADGE: batches that are both uncertain and diverse, by k-means++ on hallucinated gradients."""

from ..needs import Need
from ..numerics.gradients import residuals, spread
from ..registry import strategy
from ..types import Selection, Size, View

PROPOSALS = 32  # drawn from one bound
BLOCK = 8192  # items a bound is computed for at a time


def memory(size: Size) -> int:
    """Embeddings, probabilities and residuals, three numbers per item, and a block."""
    return size.pool * (4 * size.embeddings + 8 * size.classes + 32) + 16 * BLOCK * PROPOSALS


@strategy(memory=memory, needs=[Need.answers])
def badge(view: View, n: int) -> Selection:
    """k-means++ on the last layer's gradients for the predicted labels (Ash et al. 2020, Algorithm 1).

    As in the released code the first pick is the longest gradient, where k-means++ would draw it; when the distinct
    gradients are used up the rest of the batch is uniform. Scores are squared distances to the picks before.
    """
    embeddings = view.signals.embeddings(view.unlabelled)  # (u, D)
    residual = residuals(view.signals.probs(view.unlabelled))  # (u, C)
    picks, squared = spread(residual, embeddings, n, view.rng, proposals=PROPOSALS, block=BLOCK)
    return Selection(view.unlabelled[picks], squared)
