"""BADGE beyond the last layer: k-means++ on the gradients of adapters or any other trained parameters, as sketches."""

from ..needs import gradients as needed
from ..numerics.kmeans import spread
from ..numerics.projections import draw_count
from ..numerics.reduction import Reduction
from ..registry import strategy
from ..types import Scope, Selection, Size, View


def memory(size: Size) -> int:
    """Sketches of 4096 numbers, as shipped, and a copy in double precision of a block."""
    return size.pool * (4 * 4096 + 64)


@strategy(memory=memory, needs=lambda options: [needed(options["scope"])])
def badge_lora(view: View, n: int, *, scope: Scope, sketch: int) -> Selection:
    """k-means++ on gradients for the predicted labels (Ash et al. 2020, Algorithm 1) in the parameters of a scope.

    Gradients longer than `sketch` numbers are sketched to as many (CountSketch: distances hold up to about 1 / sqrt of
    that). As in `badge` the first pick is the longest gradient, and when the distinct gradients are used up the rest of
    the batch is uniform. Scores are squared distances to the picks before.
    """
    gradients = view.signals.gradients(scope)
    labels = view.signals.probs(view.unlabelled).argmax(1)  # (u,)
    size = len(gradients.parameters())
    kept = Reduction(sketch=draw_count(size, sketch, view.rng) if 0 < sketch < size else None)
    rows = gradients.parameters().new_empty(len(labels), kept.width(size))  # (u, width)
    for at, some in gradients.vectors("pool", view.unlabelled, labels, kept):
        rows[at] = some
    picks, squared = spread(rows, n, view.rng)
    return Selection(view.unlabelled[picks], squared)
