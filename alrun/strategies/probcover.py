"""ProbCover: cover as many pool items as possible with balls of radius delta."""

import torch

from ..errors import UserError
from ..numerics.balls import Balls, greedy_balls
from ..numerics.coverage import covered_by
from ..numerics.distances import unit_copy, unit_rows
from ..numerics.kernels import Kernel
from ..numerics.purity import largest_pure_radius, other_class_distances
from ..numerics.rows import Rows
from ..registry import strategy
from ..types import Selection, Size, View
from .clustering import clusters

TILE = 1024  # side of a tile of the graph
PER_ITEM = 512  # mean number of neighbours that may be kept; where there are more, they are computed again
LONGEST = 2.0  # no two directions are farther apart


def memory(size: Size) -> int:
    """Bytes: rows in single precision, neighbours and their sorting, tiles."""
    return size.pool * (4 * size.features + 8 * PER_ITEM + 100) + 32 * TILE**2


@strategy(memory=memory, needs=[])
def probcover(view: View, n: int, *, delta: float | None, purity: float) -> Selection:
    """The item whose open ball holds most items that no ball holds yet (Yehuda et al. 2022); the score is their number.

    Released code drops the last out-edges of the graph; the paper's rule is followed: all of them count. It takes the
    largest degree, where the paper's text draws from the five largest. Once all is covered: lowest pool index first.
    """
    if delta is not None and delta <= 0:
        raise UserError(f"strategy.delta={delta} is not a radius", "above 0, or null for the purity rule")
    if not 0 < purity <= 1:
        raise UserError(f"strategy.purity={purity} is not a share above 0", "strategy.purity=0.95")
    features = view.signals.features(view.unlabelled)  # (u, F)
    labelled = view.signals.features(view.labelled)  # (l, F)
    radius = pure_radius(view, purity) if delta is None else delta
    balls = Balls(features, radius, block=TILE)
    covered = covered_by(Rows(features, Kernel.tophat, radius, block=TILE), unit_rows(labelled))  # (u,) 1 or 0
    picks, gains = greedy_balls(balls, covered > 0, n, capacity=PER_ITEM * len(features))
    share = (covered.sum().item() + sum(gains) + len(labelled)) / (len(features) + len(labelled))
    notes = {"delta": radius, "covered": share}
    return Selection(view.unlabelled[picks], covered.new_tensor(gains), notes)


def pure_radius(view: View, purity: float) -> float:
    """The largest delta at which this share of open balls holds a single pseudo-class, k-means with C clusters."""
    everyone = torch.cat([view.unlabelled, view.labelled]).sort().values
    features = view.signals.features(everyone)
    points = unit_copy(features, block=TILE)  # (N, F)
    classes = clusters(points, min(view.n_classes, len(points)), view.rng, full=True)[0]
    radius = largest_pure_radius(other_class_distances(points, classes), purity)
    return min(radius, LONGEST) if radius > 0 else torch.finfo(torch.float32).eps
