"""ActiveFT: directions that match the pool's distribution and keep apart."""

import torch
from torch import Tensor

from ..errors import UserError
from ..numerics.anchors import Anchors, nearest_untaken
from ..registry import strategy
from ..types import Selection, Size, View

BLOCK = 4096  # items measured at a time
FEW = 8  # nearest items of a direction that are remembered


def memory(size: Size) -> int:
    """Features and unit features, five numbers per item, and a block against all directions."""
    directions = size.batch + size.labelled
    among = 8 * (3 * size.batch * directions + 2 * min(BLOCK, size.labelled) * size.labelled)  # similarities
    return size.pool * (8 * size.features + 60) + BLOCK * (16 * directions + 24 * size.features) + among


@strategy(memory=memory, needs=[])
def activeft(view: View, n: int, *, temperature: float, rate: float, steps: int, balance: float) -> Selection:
    """n directions follow the pool's unit features and repel each other; the nearest item of each (Xie et al. 2023).

    Made for one batch; in later ones the labelled items are directions that do not move, as in BorealisAI's code. They
    start at random items and take `steps` steps of Adam at `rate`. Scores are cosines to the direction.
    """
    if not temperature > 0 or not rate > 0 or not balance > 0 or steps < 0:
        asked = f"temperature={temperature}, rate={rate}, balance={balance}, steps={steps}"
        raise UserError(f"activeft cannot use {asked}", "the first three above 0, steps 0 or more")
    points = _unit(view, view.unlabelled)  # (u, F)
    start = torch.from_numpy(view.rng.choice(len(points), n, replace=False)).to(points.device)
    frozen = _unit(view, view.labelled)  # (l, F)
    options = {"temperature": temperature, "balance": balance, "rate": rate}
    anchors = Anchors(points, points[start], frozen, **options, block=BLOCK)
    losses = [anchors.step() for _ in range(steps)]
    picks, near = nearest_untaken(points, anchors.directions()[:n], few=FEW, block=BLOCK)
    return Selection(view.unlabelled[picks], near, {"loss": losses[-1] if losses else float("nan")})


def _unit(view: View, idx: Tensor) -> Tensor:
    return torch.nn.functional.normalize(view.signals.features(idx), dim=1)  # (n, F)
