"""What LESS leaves open: whose gradient, at which label, against which target, compared and chosen how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import UserError
from ..needs import Need, gradients, refusal
from ..numerics.pursuit import Gradients
from ..types import Scope, Target, View

Label = StrEnum("Label", ["argmax", "sampled", "expected_abs", "fisher", "expected_cos", "max_label", "oracle"])
Average = StrEnum("Average", ["gradients", "scores"])
Goal = StrEnum("Goal", ["val_mean", "val_unit_mean", "subtask_max", "labelled_mean", "last_update", "hallucinated_val"])
Update = StrEnum("Update", ["sgd", "adam", "adam_linear"])
AdamForm = StrEnum("AdamForm", ["less", "eps_outside", "paper", "torch_step"])
Normalise = StrEnum("Normalise", ["none", "cosine"])
Trajectory = StrEnum("Trajectory", ["last", "checkpoints"])
Sign = StrEnum("Sign", ["aligned", "opposed", "magnitude"])
Batch = StrEnum("Batch", ["topk", "mmr", "matching_pursuit", "kcenter_prefilter"])

# What becomes of the scores s of all labels, (n, C), given the predictions p.
OVER_LABELS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    Label.expected_abs: lambda s, p: (p * s.abs()).sum(1),
    Label.fisher: lambda s, p: (p * s.square()).sum(1),  # the variance of the influence over y ~ p
    Label.expected_cos: lambda s, p: (p * s).sum(1),
    Label.max_label: lambda s, p: s.amax(1),
}
SIZES = (Label.expected_abs, Label.fisher)  # they have no direction
SIGN: dict[str, Callable[[Tensor], Tensor]] = {
    Sign.aligned: torch.clone,
    Sign.opposed: torch.neg,
    Sign.magnitude: torch.abs,
}


@dataclass(frozen=True)
class Axes:
    """The options of `less`, as less.yaml explains them."""

    label: Label
    draws: int
    average: Average
    target: Goal
    update: Update
    adam_form: AdamForm
    normalise: Normalise
    scope: Scope
    trajectory: Trajectory
    sign: Sign
    selection: Batch
    trade_off: float
    prefilter: int
    sketch: int

    @property
    def cosines(self) -> bool:
        """Whether scores are cosines."""
        return Normalise.cosine == self.normalise or self.label == Label.expected_cos or self.selection == Batch.mmr

    @property
    def closed(self) -> bool:
        """Whether they ask for what the last layer's closed form can say."""
        return (self.scope, self.update, self.trajectory) == (Scope.head, Update.sgd, Trajectory.last)


def needs(options: Mapping[str, Any]) -> set[Need]:
    """What these options ask of the model and the data. Targets that may stand in for others are asked for later."""
    axes = Axes(**options)
    found = set() if axes.target in (Goal.labelled_mean, Goal.last_update) else {Need.target}
    if axes.closed:
        return found | ({Need.answers, Need.head} if axes.target == Goal.last_update else {Need.answers})
    found.add(gradients(axes.scope))
    if axes.update != Update.sgd:
        found.add(Need.adam)
    if axes.trajectory == Trajectory.checkpoints:
        found.add(Need.checkpoints)
    # One gradient of an item is kept for a diverse batch, whatever is averaged before.
    several = axes.label == Label.sampled and axes.draws > 1
    averaged = several and (axes.average == Average.gradients or axes.selection in (Batch.mmr, Batch.matching_pursuit))
    if averaged or (axes.label in OVER_LABELS and axes.update == Update.sgd and not axes.cosines):
        found.add(Need.shares)
    return found


def meaning(options: Mapping[str, Any]) -> str:
    """What a score says under these options, once `sign` is applied to it."""
    sign = options["sign"]
    what = "the last update" if options["target"] == Goal.last_update else "the target's loss"
    more, less = ("continues", "reverses") if options["target"] == Goal.last_update else ("lowers", "raises")
    if sign == Sign.magnitude or options["label"] in SIZES:
        score = "lower" if sign == Sign.opposed else "higher"
        said = f"the more a step on this item {more} or {less} {what}, the {score} the score"
    else:
        said = f"+ = a step on this item {less if sign == Sign.opposed else more} {what}"
    return f"sign={sign}: {said}; high scores are preferred"


class Alignment(Protocol):
    """Unlabelled items against the targets."""

    notes: dict[str, float]  # what was put in place of what

    def scores(self) -> Tensor:
        """(u,) the best over targets, before the sign."""

    def goal(self) -> Tensor:
        """The one target, in the form that `gradients` takes."""

    def gradients(self) -> Gradients:
        """One gradient an item, for batches that do not repeat themselves."""


def check(axes: Axes) -> None:
    """Refuse what makes no sense."""
    if axes.draws < 1:
        raise UserError(f"strategy.draws={axes.draws} draws no label", "strategy.draws=1 or more")
    if not 0 <= axes.trade_off <= 1:
        raise UserError(f"strategy.trade_off={axes.trade_off} is not a share", "0 (score alone) to 1 (diversity alone)")
    if axes.prefilter < 1:
        raise UserError(f"strategy.prefilter={axes.prefilter} keeps no item", "strategy.prefilter=100")
    if axes.sketch < 0:
        raise UserError(f"strategy.sketch={axes.sketch} is negative", "strategy.sketch=0 for the gradients themselves")
    if axes.selection == Batch.matching_pursuit and axes.label in OVER_LABELS:
        raise UserError(
            f"matching pursuit needs one gradient per item, strategy.label={axes.label} averages over all labels",
            "strategy.label=argmax or strategy.label=sampled",
        )
    if axes.selection == Batch.matching_pursuit and axes.target == Goal.subtask_max:
        raise UserError(
            "matching pursuit explains one target, strategy.target=subtask_max has one per class",
            "strategy.target=val_mean",
        )
    if axes.update == Update.adam_linear and (axes.cosines or axes.selection == Batch.matching_pursuit):
        raise UserError(
            "strategy.update=adam_linear gives inner products alone: there are no directions to take lengths of",
            "strategy.update=adam",
            "strategy.normalise=none and strategy.selection=topk",
        )


def settled(view: View, goal: Goal) -> tuple[Goal, dict[str, float]]:
    """The target that there is, and a note where it stands in: no labels, or no update to look back on yet."""
    absent = {
        Goal.labelled_mean: lambda: not len(view.labelled),
        Goal.last_update: lambda: view.signals.previous() is None,
    }
    if goal in absent and absent[goal]():
        return Goal.val_mean, {"target_is_val_mean": 1.0}
    return goal, {}


def target_split(view: View, goal: Goal) -> Target:
    """The target split. Raises UserError if it is empty."""
    target = view.signals.target()
    if not len(target.labels):
        raise refusal(Need.target, f"strategy.target={goal}")
    return target
