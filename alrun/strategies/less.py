"""LESS-alignment on the model's head: label what pulls the parameters towards a target, or away from it.

Every item's gradient at an imagined label is compared with the gradient of a target (Xia et al. 2024 score training
data so; labels are imagined because nobody has paid for the true ones). Only label-averages that are not linear are
offered: over the model's own predictions the mean gradient of the log-loss is exactly zero, and its score with it.

A head that is solved to convergence has no Adam moments, so gradients are used as they are (update "sgd").
"""

from collections.abc import Callable
from enum import StrEnum

import torch
from torch import Tensor

from ..errors import UserError
from ..numerics import influence
from ..numerics.kcentre import farthest_first
from ..numerics.pursuit import matching_pursuit, mmr
from ..numerics.ranking import highest
from ..registry import strategy
from ..types import Selection, Size, View

Label = StrEnum("Label", ["argmax", "sampled", "expected_abs", "fisher", "expected_cos", "max_label"])
Average = StrEnum("Average", ["gradients", "scores"])
Goal = StrEnum("Goal", ["val_mean", "val_unit_mean", "subtask_max", "labelled_mean", "last_update", "hallucinated_val"])
Normalise = StrEnum("Normalise", ["none", "cosine"])
Sign = StrEnum("Sign", ["aligned", "opposed", "magnitude"])
Batch = StrEnum("Batch", ["topk", "mmr", "matching_pursuit", "kcenter_prefilter"])

# What becomes of the scores s of all labels, (n, C), given the predictions p.
OVER_LABELS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    Label.expected_abs: lambda s, p: (p * s.abs()).sum(1),
    Label.fisher: lambda s, p: (p * s.square()).sum(1),  # the variance of the influence over y ~ p
    Label.expected_cos: lambda s, p: (p * s).sum(1),
    Label.max_label: lambda s, p: s.amax(1),
}
SIGN: dict[str, Callable[[Tensor], Tensor]] = {
    Sign.aligned: torch.clone,
    Sign.opposed: torch.neg,
    Sign.magnitude: torch.abs,
}


def memory(size: Size) -> int:
    """Bytes: embeddings of the pool twice, probabilities, residuals, a few numbers per item."""
    return size.pool * (8 * size.embeddings + 16 * size.classes + 64)


@strategy(memory=memory)
def less(
    view: View,
    n: int,
    *,
    label: Label,
    draws: int,
    average: Average,
    target: Goal,
    normalise: Normalise,
    sign: Sign,
    selection: Batch,
    trade_off: float,
    prefilter: int,
) -> Selection:
    """The items whose imagined gradient is best aligned with the target's, by inner product or cosine."""
    _check(label, draws, target, selection, trade_off, prefilter)
    probs = view.signals.probs(view.unlabelled)  # (u, C)
    embeddings = view.signals.embeddings(view.unlabelled)  # (u, D)
    cosines = Normalise.cosine == normalise or label == Label.expected_cos or selection == Batch.mmr
    imagined = probs.argmax(1, keepdim=True)  # (u, 1)
    if label == Label.sampled:
        imagined = influence.sample_labels(probs, view.rng.random((len(probs), draws)))  # (u, draws)
    residual = influence.residuals(probs, imagined)  # (u, C)
    goals, notes = _goals(view, target, draws, cosines)

    if selection == Batch.matching_pursuit:
        start = -goals[0] if sign == Sign.opposed else goals[0]
        picks, values, left = matching_pursuit(residual, embeddings, start, n, magnitude=sign == Sign.magnitude)
        notes["residual"] = (left[-1] / left[0].clamp_min(influence.ZERO)).item()
        return Selection(view.unlabelled[picks], values, notes)

    def over_labels(scores: Tensor, rows: slice) -> Tensor:
        if label == Label.sampled:
            return scores.gather(1, imagined[rows]).mean(1)
        return OVER_LABELS[label](scores, probs[rows])

    if label in OVER_LABELS or (label == Label.sampled and average == Average.scores):
        each = [influence.reduced_label_scores(probs, embeddings, t, over_labels, cosines=cosines) for t in goals]
    else:
        each = [influence.scores(residual, embeddings, t, cosines=cosines) for t in goals]
    scores = SIGN[sign](torch.stack(each).amax(0))  # (u,)
    if selection == Batch.mmr:
        picks, values = mmr(residual, embeddings, scores, n, trade_off=trade_off)
        return Selection(view.unlabelled[picks], values, notes)
    kept = torch.arange(len(scores), device=scores.device)
    if selection == Batch.kcenter_prefilter and max(prefilter, n) < len(scores):
        kept = farthest_first(embeddings, embeddings[:0], max(prefilter, n))[0].sort().values
    picks = kept[highest(scores[kept], n)]
    return Selection(view.unlabelled[picks], scores[picks], notes)


def _check(label: Label, draws: int, target: Goal, selection: Batch, trade_off: float, prefilter: int) -> None:
    if draws < 1:
        raise UserError(f"strategy.draws={draws} draws no label", "strategy.draws=1 or more")
    if not 0 <= trade_off <= 1:
        raise UserError(f"strategy.trade_off={trade_off} is not a share", "0 (score alone) to 1 (diversity alone)")
    if prefilter < 1:
        raise UserError(f"strategy.prefilter={prefilter} keeps no item", "strategy.prefilter=100")
    if selection == Batch.matching_pursuit and label in OVER_LABELS:
        raise UserError(
            f"matching pursuit needs one gradient per item, strategy.label={label} has one per class",
            "strategy.label=argmax or strategy.label=sampled",
        )
    if selection == Batch.matching_pursuit and target == Goal.subtask_max:
        raise UserError(
            "matching pursuit explains one target, strategy.target=subtask_max has one per class",
            "strategy.target=val_mean",
        )


def _goals(view: View, goal: Goal, draws: int, cosines: bool) -> tuple[list[Tensor], dict[str, float]]:
    """Target gradients (C, D + 1), of which an item's best score counts, and what was put in place of what."""
    before = view.signals.previous() if goal == Goal.last_update else None
    scaled = influence.unit if cosines else torch.clone
    if goal == Goal.labelled_mean and len(view.labelled):
        probs, embeddings = view.signals.probs(view.labelled), view.signals.embeddings(view.labelled)
        return [scaled(influence.mean_gradient(influence.residuals(probs, view.labels), embeddings))], {}
    if before is not None:
        old, new = before.head(), view.signals.head()
        if old is None or new is None:
            raise UserError(
                "strategy.target=last_update needs a linear last layer, this model has none",
                "model=linear or model=mlp",
                "strategy.target=val_mean",
            )
        change = torch.cat([old.weight - new.weight, (old.bias - new.bias)[:, None]], dim=1)
        return [scaled(change.to(view.signals.embeddings(view.unlabelled[:1])))], {}

    embeddings, probs, labels = view.signals.target()
    if not len(labels):
        raise UserError(
            f"strategy.target={goal} needs a target split in this cycle, dataset.target=0 leaves it empty",
            "dataset.target=5",
        )
    if goal == Goal.hallucinated_val:
        drawn = influence.sample_labels(probs, view.rng.random((len(probs), draws)))  # (v, draws)
        means = [influence.mean_gradient(influence.residuals(probs, y), embeddings) for y in drawn.T]
        return [torch.stack([scaled(mean) for mean in means]).mean(0)], {}
    residual = influence.residuals(probs, labels)  # (v, C)
    if goal == Goal.subtask_max:
        groups = [labels == c for c in labels.unique()]
        return [scaled(influence.mean_gradient(residual[g], embeddings[g])) for g in groups], {}
    if goal == Goal.val_unit_mean:
        return [scaled(influence.mean_unit_gradient(residual, embeddings))], {}
    # No labels and no update to look back on yet: the target split stands in, and the metrics say so.
    notes = {} if goal == Goal.val_mean else {"target_is_val_mean": 1.0}
    return [scaled(influence.mean_gradient(residual, embeddings))], notes
