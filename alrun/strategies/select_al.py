"""SelectAL: find out by taking labels away whether they are few or many, then call a strategy made for that."""

from typing import Any

import torch
from torch import Tensor

from .. import registry
from ..errors import UserError
from ..numerics.distances import squared_distances, unit_rows
from ..types import Selection, Size, View
from .switch import whole

BLOCK = 2048  # pool items measured at a time
REGIMES = ("low", "random", "high")


def memory(size: Size) -> int:
    """Bytes: what a refitted model says of the pool, and labelled items against a block."""
    models = 4 * size.pool * (size.classes + 2 * size.embeddings)
    return models + 8 * BLOCK * (4 * size.labelled + 3 * size.features)


@registry.strategy(
    memory=memory, expand=lambda options: options | {name: whole(options[name]) for name in REGIMES}, needs=[]
)
def select_al(
    view: View,
    n: int,
    *,
    low: Any,
    random: Any,
    high: Any,
    share: float,
    repeats: int,
    folds: int,
    neighbours: int,
    minimum: int,
) -> Selection:
    """Remove a `share` of the labels, balanced over classes: typical ones (what a low-budget strategy would choose),
    atypical ones, or random ones. What is missed most, in cross-validated accuracy and on a draw in likelihood, is
    what helps most: strategy `low`, `high` or `random` chooses (Hacohen and Weinshall 2023). No code was released.

    Typicality is 1 / mean squared distance to the nearest `neighbours` in the pool. Random removal is averaged over
    `repeats`. Below `minimum` labels per class there is nothing to remove: low. Notes: regime 0 low, 1 random, 2 high.
    """
    if not 0 < share < 1 or repeats < 1 or folds < 2 or neighbours < 1 or minimum < 1:
        asked = f"share={share}, repeats={repeats}, folds={folds}, neighbours={neighbours}, minimum={minimum}"
        raise UserError(f"select_al cannot use {asked}", "0 < share < 1, folds 2 or more, the others 1 or more")
    notes: dict[str, float] = {"regime": 0.0, "removed": 0.0}
    if len(view.labelled) >= max(2, minimum * view.n_classes):
        notes = decide(view, share, repeats, folds, neighbours)
    chosen = (low, random, high)[int(notes["regime"])]
    selection = registry.build("strategy", chosen)(view, n)
    return selection._replace(notes={**selection.notes, **notes})


def decide(view: View, share: float, repeats: int, folds: int, neighbours: int) -> dict[str, float]:
    """The regime and the accuracies without each kind of labels."""
    size = len(view.labelled)
    count = max(1, round(share * size))
    spread = mean_squared_distances(view, neighbours)  # (l,) small: typical
    part = stratified(view.labels, torch.from_numpy(view.rng.permutation(size)).to(spread.device), folds)
    ranks = {
        "low": [spread],
        "random": [torch.from_numpy(view.rng.permutation(size)).to(spread) for _ in range(repeats)],
        "high": [-spread],
    }
    quality = {}  # (accuracy, mean log-likelihood) without these labels
    for name, orders in ranks.items():
        without = [validated(view, part, first_to_go(view.labels, rank, count)) for rank in orders]
        quality[name] = tuple(sum(values) / len(without) for values in zip(*without, strict=True))
    missed = min(REGIMES, key=lambda name: quality[name])  # the first among equals
    accuracies = {f"accuracy_without_{name}": quality[name][0] for name in REGIMES}
    return {"regime": float(REGIMES.index(missed)), "removed": float(count), **accuracies}


def mean_squared_distances(view: View, neighbours: int) -> Tensor:
    """(l,) float64 mean squared distance of each labelled item to its nearest others in the pool, on unit features."""
    rows = unit_rows(view.signals.features(view.labelled))  # (l, F)
    everyone = torch.cat([view.unlabelled, view.labelled])
    nearest = rows.new_full((len(rows), 0), 0)  # (l, at most neighbours + 1) with itself
    for part in everyone.split(BLOCK):
        squared = squared_distances(rows, unit_rows(view.signals.features(part)), chunk=BLOCK)  # (l, block)
        nearest = torch.cat([nearest, squared.clamp_(min=0)], dim=1)
        nearest = nearest.topk(min(neighbours + 1, nearest.shape[1]), dim=1, largest=False).values
    return nearest.sum(1) / max(1, nearest.shape[1] - 1)


def stratified(labels: Tensor, shuffled: Tensor, folds: int) -> Tensor:
    """(l,) fold of each label; every class is dealt out in turn, in shuffled order."""
    order = shuffled[labels[shuffled].argsort(stable=True)]
    part = torch.empty_like(labels)
    part[order] = torch.arange(len(labels), device=labels.device) % min(folds, len(labels))
    return part


def first_to_go(labels: Tensor, rank: Tensor, count: int) -> Tensor:
    """(l,) bool, `count` labels to remove: again and again the lowest rank in the class with the most labels left."""
    gone = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    for _ in range(count):
        fullest = labels[~gone].bincount().argmax()
        open_ = (~gone & (labels == fullest)).nonzero().flatten()
        gone[open_[rank[open_].argmin()]] = True
    return gone


def validated(view: View, part: Tensor, gone: Tensor) -> tuple[float, float]:
    """Accuracy and mean log-likelihood of all labels, each by a model that saw neither its fold nor what is gone."""
    right, likelihood = 0, 0.0
    for fold in part.unique():
        held = part == fold
        logits = view.signals.refit(view.labelled[~held & ~gone]).logits(view.labelled[held]).double()  # (h, C)
        truth = view.labels[held]
        right += int((logits.argmax(1) == truth).sum())
        likelihood += float(logits.log_softmax(1).gather(1, truth[:, None]).sum())
    return right / len(part), likelihood / len(part)
