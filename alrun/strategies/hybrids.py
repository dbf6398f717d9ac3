"""Greedy k-medoids in place of the clustering of weighted k-means, ALFA-Mix and BADGE, adapted as UHerding is.

Bae et al. (2025) adapt the parameters of these as well: probabilities at a temperature that calibrates held-out labels,
and a radius that is the smallest distance between two labelled items. What is covered is defined here, as no paper says
it in full. The labelled set covers what is near it, so a batch continues it. With nothing labelled there is no model to
listen to, and all three are MaxHerding in their space.
"""

import torch
from torch import Tensor

from ..errors import UserError
from ..needs import Need, refusal
from ..numerics.coverage import Greedy, covered_by
from ..numerics.distances import smallest_distance, unit_rows
from ..numerics.gradients import residuals
from ..numerics.kernels import Kernel
from ..numerics.mixing import BLOCK as MIXED
from ..numerics.mixing import class_anchors, critical_steps, farthest_anchors, growing_caps
from ..numerics.ranking import highest
from ..numerics.rows import Rows
from ..numerics.twofold import TwofoldRows
from ..numerics.uncertainty import MEASURES, Uncertainty
from ..registry import strategy
from ..types import Selection, Size, View
from .clustering import fill
from .herding import BLOCK, LEADERS, PER_ITEM, TILE, Calibration, demand_radius, fit_temperature, take
from .herding import memory as herding_memory

BETA = 10  # what the estimate of memory assumes


def memory_of_candidates(size: Size) -> int:
    """Bytes: probabilities of the pool, and greedy coverage of the candidates."""
    return herding_memory(size._replace(pool=min(size.pool, BETA * size.batch))) + size.pool * (8 * size.classes + 48)


def memory_of_changing(size: Size) -> int:
    """Bytes: embeddings, blocks in float64, and greedy coverage of a tenth of the pool; mixing rarely changes more."""
    blocks = MIXED * (40 * size.classes + 24 * size.embeddings)
    return herding_memory(size._replace(pool=size.pool // 10)) + size.pool * (4 * size.embeddings + 80) + blocks


def memory(size: Size) -> int:
    """Bytes: those of greedy coverage of the whole pool, and probabilities with their residuals in float64."""
    return herding_memory(size._replace(features=size.embeddings)) + 24 * size.pool * size.classes


def cover(view: View, items: Tensor, n: int, rows: Rows, weights: Tensor, covered: Tensor, notes: dict) -> Selection:
    """n greedy medoids among `items`, whose rows, weights and present cover these are."""
    tile = TILE["cpu" if items.device.type == "cpu" else "cuda"]
    greedy = Greedy(rows, weights, covered, leaders=LEADERS, tile=tile, per_item=PER_ITEM)
    return take(greedy, items, n, view, notes)


def radius(labelled: Tensor, sigma: float, adaptive: bool) -> float:
    """The smallest distance between two of the labelled unit rows; `sigma` if there are no two, or not adaptive."""
    smallest = smallest_distance(labelled, block=1024) if adaptive else float("inf")
    return smallest if smallest < float("inf") else sigma


@strategy(memory=memory_of_candidates, needs=[Need.answers])
def weighted_kmeans_herding(
    view: View,
    n: int,
    *,
    beta: int,
    uncertainty: Uncertainty,
    kernel: Kernel,
    sigma: float,
    adaptive_sigma: bool,
    calibration: Calibration,
) -> Selection:
    """Weighted k-means (Zhdanov 2019) with greedy medoids: coverage of the beta n least certain items, each counted by
    its uncertainty, on unit features. Scores are gains.
    """
    if beta < 1:
        raise UserError(f"strategy.beta={beta} leaves fewer candidates than the batch", "strategy.beta=1 or more")
    demand_radius(sigma)
    temperature, items = fit_temperature(view, calibration), view.unlabelled
    weights = torch.ones(len(items), dtype=torch.float64, device=items.device)
    if len(view.labelled):
        doubt = MEASURES[uncertainty]((view.signals.logits(items) / temperature).softmax(1))  # (u,)
        candidates = highest(doubt, min(beta * n, len(doubt))).sort().values
        items, weights = items[candidates], doubt[candidates].double()
    labelled = unit_rows(view.signals.features(view.labelled))
    sigma = radius(labelled, sigma, adaptive_sigma)
    rows = Rows(view.signals.features(items), kernel, sigma, block=BLOCK)
    notes = {"sigma": sigma, "temperature": temperature}
    return cover(view, items, n, rows, weights, covered_by(rows, labelled), notes)


@strategy(memory=memory_of_changing, needs=[Need.head])
def alfamix_herding(
    view: View,
    n: int,
    *,
    cap_step: float,
    kernel: Kernel,
    sigma: float,
    adaptive_sigma: bool,
    calibration: Calibration,
) -> Selection:
    """ALFA-Mix (Parvaneh et al. 2022) with greedy medoids: coverage of the items whose prediction mixing changes, on
    unit embeddings. The temperature turns the gradients along which they are mixed. Too few: all of them, and uniform
    draws from the rest. Scores are gains, NaN for draws.
    """
    if not 0 < cap_step <= 1:
        raise UserError(f"strategy.cap_step={cap_step} is not a share above 0", "strategy.cap_step=0.2")
    demand_radius(sigma)
    head = view.signals.head()
    if head is None:
        raise refusal(Need.head)
    temperature = fit_temperature(view, calibration)
    embeddings, known = view.signals.embeddings(view.unlabelled), view.signals.embeddings(view.labelled)
    candidates, cap = torch.arange(len(embeddings), device=embeddings.device), 1.0
    if len(view.labelled):
        reach = farthest_anchors(embeddings, class_anchors(known, view.labels, view.n_classes))  # (u,)
        steps = critical_steps(embeddings, head.weight / temperature, head.bias / temperature)  # (u,)
        cap, mask = growing_caps(reach, steps, embeddings.shape[1], n, cap_step)[-1]
        candidates = mask.nonzero().flatten()
    labelled = unit_rows(known)
    sigma = radius(labelled, sigma, adaptive_sigma)
    notes = {"sigma": sigma, "temperature": temperature, "cap": cap, "candidates": float(len(candidates))}
    if not len(candidates):
        drawn = fill(candidates, len(embeddings), n, view.rng)
        return Selection(view.unlabelled[drawn], torch.full((n,), torch.nan, device=drawn.device), notes)
    rows = Rows(embeddings[candidates], kernel, sigma, block=BLOCK)
    weights = torch.ones(len(candidates), dtype=torch.float64, device=candidates.device)
    items, count = view.unlabelled[candidates], min(n, len(candidates))
    chosen = cover(view, items, count, rows, weights, covered_by(rows, labelled), notes)
    picks = fill(torch.searchsorted(view.unlabelled, chosen.indices), len(embeddings), n, view.rng)
    drawn = chosen.scores.new_full((n - count,), torch.nan)
    return Selection(view.unlabelled[picks], torch.cat([chosen.scores, drawn]), notes)


@strategy(memory=memory, needs=[Need.answers])
def badge_herding(
    view: View, n: int, *, kernel: Kernel, sigma: float, adaptive_sigma: bool, calibration: Calibration
) -> Selection:
    """BADGE's gradients (Ash et al. 2020) with greedy medoids: an item counts by its residual's length, and a pick
    covers it by the kernel of their unit embeddings times the cosine of their residuals (0 where that is negative).
    A labelled item's answer is known: it covers by the kernel alone. Scores are gains.
    """
    demand_radius(sigma)
    temperature = fit_temperature(view, calibration)
    labelled = unit_rows(view.signals.embeddings(view.labelled))
    sigma = radius(labelled, sigma, adaptive_sigma)
    embeddings = view.signals.embeddings(view.unlabelled)  # (u, D)
    plain = Rows(embeddings, kernel, sigma, block=BLOCK)
    weights = torch.ones(len(embeddings), dtype=torch.float64, device=embeddings.device)
    rows, notes = plain, {"sigma": sigma, "temperature": temperature}
    if len(view.labelled):
        residual = residuals((view.signals.logits(view.unlabelled) / temperature).softmax(1))  # (u, C)
        weights = torch.linalg.vector_norm(residual, dim=1).double()  # (u,)
        rows = TwofoldRows(embeddings, residual, kernel, sigma, block=BLOCK)
    return cover(view, view.unlabelled, n, rows, weights, covered_by(plain, labelled), notes)
