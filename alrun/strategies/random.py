"""The baseline every other strategy must beat."""

import torch

from ..registry import strategy
from ..types import Selection, Size, View


def memory(size: Size) -> int:
    """A permutation of the pool."""
    return 16 * size.pool


@strategy(memory=memory, needs=[])
def random(view: View, n: int) -> Selection:
    """n unlabelled items, uniformly without replacement."""
    drawn = torch.from_numpy(view.rng.choice(len(view.unlabelled), n, replace=False)).to(view.unlabelled.device)
    return Selection(view.unlabelled[drawn], torch.full((n,), float("nan"), device=drawn.device))
