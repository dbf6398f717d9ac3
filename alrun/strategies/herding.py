"""MaxHerding and UHerding: cover the pool, or its uncertain part, with the labelled set."""

from enum import StrEnum

import torch
from torch import Tensor

from ..numerics.calibration import best_temperature
from ..numerics.coverage import covered_by, greedy
from ..numerics.distances import smallest_distance, unit_rows
from ..numerics.kernels import Kernel
from ..numerics.uncertainty import MEASURES, Uncertainty
from ..registry import strategy
from ..types import Selection, Size, View

BLOCK = 1024


class Calibration(StrEnum):
    """Which labelled items the temperature is fitted on."""

    newest = "newest"  # the last 30 % acquired, as in the released code
    random = "random"  # a random 30 %
    none = "none"  # temperature 1


def memory(size: Size) -> int:
    """Features in float64, a block of similarities to the whole pool."""
    return size.pool * (8 * size.features + 24 * BLOCK)


def cover(view: View, n: int, weights: Tensor, kernel: Kernel, sigma: float, notes: dict[str, float]) -> Selection:
    """Greedy picks on unit features; scores are gains of coverage, averaged over the pool."""
    points = unit_rows(view.signals.features(view.unlabelled))  # (u, F)
    labelled = unit_rows(view.signals.features(view.labelled))  # (l, F)
    covered = covered_by(points, labelled, kernel, sigma, block=BLOCK)  # (u,)
    picks, gains = greedy(points, weights, covered, kernel, sigma, n, block=BLOCK)
    return Selection(view.unlabelled[picks], gains / (len(points) + len(labelled)), notes)


@strategy(memory=memory)
def maxherding(view: View, n: int, *, kernel: Kernel, sigma: float) -> Selection:
    """Greedy maximum of generalised coverage, mean_n max_s k(x_n, x_s) (Bae et al. 2024, Eq. 3)."""
    weights = torch.ones(len(view.unlabelled), dtype=torch.float64, device=view.unlabelled.device)
    return cover(view, n, weights, kernel, sigma, {"sigma": sigma})


def fit_temperature(view: View, calibration: Calibration) -> float:
    """The temperature that calibrates a model of 70 % of the labels on the other 30 %; 1 below four labels."""
    held_out = 3 * len(view.labelled) // 10
    if calibration is Calibration.none or len(view.labelled) < 4:
        return 1.0
    order = torch.arange(len(view.labelled), device=view.labelled.device)
    if calibration is Calibration.random:
        order = torch.from_numpy(view.rng.permutation(len(view.labelled))).to(view.labelled.device)
    train, rest = order[:-held_out], order[-held_out:]
    logits = view.signals.refit(view.labelled[train]).logits(view.labelled[rest])  # (0.3 l, C)
    return best_temperature(logits.double().cpu().numpy(), view.labels[rest].cpu().numpy(), view.n_classes)


@strategy(memory=memory)
def uherding(
    view: View,
    n: int,
    *,
    uncertainty: Uncertainty,
    kernel: Kernel,
    sigma: float,
    adaptive_sigma: bool,
    calibration: Calibration,
) -> Selection:
    """Greedy maximum of uncertainty coverage, mean_n u_n max_s k(x_n, x_s) (Bae et al. 2025).

    The temperature and the radius follow the labels: few of them make it MaxHerding, many plain uncertainty sampling.
    """
    temperature = fit_temperature(view, calibration)
    if len(view.labelled):
        logits = view.signals.logits(view.unlabelled)  # (u, C)
        weights = MEASURES[uncertainty]((logits / temperature).softmax(1)).double()  # (u,)
    else:
        weights = torch.ones(len(view.unlabelled), dtype=torch.float64, device=view.unlabelled.device)
    if adaptive_sigma:
        smallest = smallest_distance(unit_rows(view.signals.features(view.labelled)), block=BLOCK)
        sigma = smallest if smallest < float("inf") else sigma
    return cover(view, n, weights, kernel, sigma, {"sigma": sigma, "temperature": temperature})
