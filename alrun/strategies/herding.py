"""MaxHerding and UHerding: cover the pool, or its uncertain part, with the labelled set."""

import math
from enum import StrEnum

import torch
from torch import Tensor

from ..errors import UserError
from ..needs import Need
from ..numerics.calibration import best_temperature
from ..numerics.coverage import Greedy, covered_by
from ..numerics.distances import smallest_distance, unit_rows
from ..numerics.kernels import Kernel
from ..numerics.rows import Rows
from ..numerics.uncertainty import MEASURES, Uncertainty
from ..registry import strategy
from ..types import Selection, Size, View
from .herding_memo import Kept

BLOCK = 4096  # items in one float64 step
LEADERS = 64  # bounds refreshed at a time
PER_ITEM = 384  # mean length of the lists of points that a candidate would cover better
TILE = {"cpu": 1024, "cuda": 8192}  # side of a tile of the similarity matrix


class Calibration(StrEnum):
    """Which labelled items the temperature is fitted on."""

    newest = "newest"  # the last 30 % acquired, as in the released code
    random = "random"  # a random 30 %
    none = "none"  # temperature 1


def memory(size: Size) -> int:
    """Features, lists with their table, tiles, and vectors."""
    table = 6 * size.pool * -(-size.pool // TILE["cpu"])
    return size.pool * (4 * size.features + 6 * PER_ITEM + 100) + table + 16 * TILE["cpu"] ** 2 + 24 * BLOCK * 64


def demand_radius(sigma: float) -> None:
    """UserError for a kernel without a width: its sign would vanish in the square, and 0 makes every similarity nan."""
    if not 0 < sigma < math.inf:
        raise UserError(f"strategy.sigma={sigma} is not a radius", "any number above 0")


def start(view: View, weights: Tensor, kernel: Kernel, sigma: float) -> Greedy:
    """Greedy coverage of the unlabelled items, given the labelled ones."""
    rows = Rows(view.signals.features(view.unlabelled), kernel, sigma, block=BLOCK)
    covered = covered_by(rows, unit_rows(view.signals.features(view.labelled)))  # (u,)
    tile = TILE["cpu" if view.unlabelled.device.type == "cpu" else "cuda"]
    return Greedy(rows, weights, covered, leaders=LEADERS, tile=tile, per_item=PER_ITEM)


def take(greedy: Greedy, items: Tensor, n: int, view: View, notes: dict[str, float]) -> Selection:
    """n picks among `items`; scores are gains of coverage, averaged over the pool, in steps of 1e-10.

    What is finer is rounding, and depends on what the memo held: a resumed run must write the same bytes. Coarser steps
    would show in the sum of many equal gains.
    """
    picks, gains = zip(*(greedy.pick() for _ in range(n)), strict=True)
    size = len(view.unlabelled) + len(view.labelled)
    scores = torch.tensor(gains, dtype=torch.float64, device=items.device) / size
    return Selection(items[list(picks)], scores.round(decimals=10), notes)


@strategy(memory=memory, needs=[])
def maxherding(view: View, n: int, *, kernel: Kernel, sigma: float) -> Selection:
    """Greedy maximum of generalised coverage, mean_n max_s k(x_n, x_s) (Bae et al. 2024, Eq. 3).

    The bounds and lists of one cycle serve the next: coverage only grows.
    """
    demand_radius(sigma)
    kept = view.memo.get("maxherding")
    if not kept or not kept.serves(view, kernel, sigma):
        weights = torch.ones(len(view.unlabelled), dtype=torch.float64, device=view.unlabelled.device)
        kept = Kept(view.unlabelled, view.labelled, start(view, weights, kernel, sigma))
        view.memo["maxherding"] = kept
    selection = take(kept.greedy, kept.items, n, view, {"sigma": sigma})
    kept.greedy.tidy()
    return selection


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


@strategy(memory=memory, needs=[Need.answers])
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
    demand_radius(sigma)
    temperature = fit_temperature(view, calibration)
    if len(view.labelled):
        logits = view.signals.logits(view.unlabelled)  # (u, C)
        weights = MEASURES[uncertainty]((logits / temperature).softmax(1)).double()  # (u,)
    else:
        weights = torch.ones(len(view.unlabelled), dtype=torch.float64, device=view.unlabelled.device)
    if adaptive_sigma:
        smallest = smallest_distance(unit_rows(view.signals.features(view.labelled)), block=1024)
        sigma = smallest if smallest < float("inf") else sigma
    notes = {"sigma": sigma, "temperature": temperature}
    return take(start(view, weights, kernel, sigma), view.unlabelled, n, view, notes)
