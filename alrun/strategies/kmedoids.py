"""k-medoids: MaxHerding's objective by exchange instead of greed, so that greed can be judged."""

import torch

from ..numerics.coverage import covered_by
from ..numerics.distances import unit_rows
from ..numerics.kernels import Kernel
from ..numerics.medoids import Medoids
from ..numerics.ranking import highest
from ..numerics.rows import Rows
from ..registry import strategy
from ..types import Selection, Size, View
from . import herding

POINTS = 2048  # items in one float64 step
CANDIDATES = 128  # columns of similarities held at a time


def memory(size: Size) -> int:
    """Bytes: those of greedy coverage, and afterwards, where that is more, columns of similarities."""
    exchange = size.pool * (4 * CANDIDATES + 100) + 24 * POINTS * (size.batch + CANDIDATES + size.features)
    return max(herding.memory(size), exchange + 4 * size.pool * size.features)


@strategy(memory=memory, needs=[])
def kmedoids(view: View, n: int, *, kernel: Kernel, sigma: float) -> Selection:
    """A local optimum of generalised coverage, mean_n max_s k(x_n, x_s) (Bae et al. 2024, Eq. 3): the greedy batch,
    then exchanges of a pick for an item that raise it, until there is none (PAM: Kaufman and Rousseeuw 1990).

    Never worse than maxherding. Scores are what the objective would lose without the pick; the notes hold the
    objective and the greedy one, over labelled and unlabelled items, and the number of exchanges.
    """
    herding.demand_radius(sigma)
    weights = torch.ones(len(view.unlabelled), dtype=torch.float64, device=view.unlabelled.device)
    greedy = herding.start(view, weights, kernel, sigma)
    picks = [greedy.pick()[0] for _ in range(n)]
    del greedy
    rows = Rows(view.signals.features(view.unlabelled), kernel, sigma, block=POINTS)
    covered = covered_by(rows, unit_rows(view.signals.features(view.labelled)))  # (u,)
    found = Medoids(rows, weights, covered, sorted(picks), block=CANDIDATES)
    size = len(view.unlabelled) + len(view.labelled)
    before = found.objective()
    found.improve()
    notes = {
        "sigma": sigma,
        "objective": (found.objective() + len(view.labelled)) / size,
        "greedy_objective": (before + len(view.labelled)) / size,
        "exchanges": float(found.swaps),
    }
    picked, by_item = found.picks.sort()
    losses = found.losses()[by_item]
    order = highest(losses, n)
    return Selection(view.unlabelled[picked[order]], losses[order] / size, notes)
