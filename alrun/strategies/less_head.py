"""Alignment of gradients of the last layer, in closed form (numerics/influence.py): about one pass of logits."""

import torch
from torch import Tensor

from ..needs import Need, refusal
from ..numerics import influence
from ..numerics.pursuit import Factored
from ..types import Scope, View
from .less_axes import OVER_LABELS, Average, Axes, Goal, Label, settled, target_split


def sufficient(view: View, axes: Axes) -> bool:
    """Whether the closed form gives the gradients that are asked for: it is that of log-loss on the head's logits.

    A network trained on one number by squared error has a last layer of one row. The head with a row for every class
    that stands for it is not what was trained, and has other gradients.
    """
    if not axes.closed:
        return False
    head = view.signals.head()
    if head is None:
        return True
    return len(view.signals.gradients(Scope.head).parameters()) == head.weight.numel() + head.bias.numel()


class HeadAlignment:
    """Residuals and embeddings of the unlabelled items, and targets (C, D + 1)."""

    def __init__(self, view: View, axes: Axes) -> None:
        self.axes = axes
        self.probs = view.signals.probs(view.unlabelled)  # (u, C)
        self.embeddings = view.signals.embeddings(view.unlabelled)  # (u, D)
        self.imagined = self.probs.argmax(1, keepdim=True)  # (u, 1)
        if axes.label == Label.sampled:
            self.imagined = influence.sample_labels(self.probs, view.rng.random((len(self.probs), axes.draws)))
        elif axes.label == Label.oracle:
            self.imagined = view.signals.oracle_labels(view.unlabelled)[:, None]
        self.residual = influence.residuals(self.probs, self.imagined)  # (u, C)
        found, self.notes = settled(view, axes.target)
        self.goals = goals(view, found, axes)

    def scores(self) -> Tensor:
        """(u,) the best over targets, before the sign."""
        if self.axes.label in OVER_LABELS or self._averages_scores:
            each = [
                influence.reduced_label_scores(
                    self.probs, self.embeddings, goal, self._over_labels, cosines=self.axes.cosines
                )
                for goal in self.goals
            ]
        else:
            each = [
                influence.scores(self.residual, self.embeddings, goal, cosines=self.axes.cosines) for goal in self.goals
            ]
        return torch.stack(each).amax(0)

    def goal(self) -> Tensor:
        """The one target."""
        return self.goals[0]

    def gradients(self) -> Factored:
        """One gradient an item."""
        return Factored(self.residual, self.embeddings)

    @property
    def _averages_scores(self) -> bool:
        return self.axes.label == Label.sampled and self.axes.average == Average.scores

    def _over_labels(self, scores: Tensor, rows: slice) -> Tensor:
        if self._averages_scores:
            return scores.gather(1, self.imagined[rows]).mean(1)
        return OVER_LABELS[self.axes.label](scores, self.probs[rows])


def goals(view: View, goal: Goal, axes: Axes) -> list[Tensor]:
    """Target gradients (C, D + 1), of which an item's best score counts; at length one for cosines."""
    scaled = influence.unit if axes.cosines else torch.clone
    if goal == Goal.labelled_mean:
        probs, embeddings = view.signals.probs(view.labelled), view.signals.embeddings(view.labelled)
        return [scaled(influence.mean_gradient(influence.residuals(probs, view.labels), embeddings))]
    if goal == Goal.last_update:
        return [scaled(_last_update(view))]
    embeddings, probs, labels = target_split(view, goal)
    if goal == Goal.hallucinated_val:
        drawn = influence.sample_labels(probs, view.rng.random((len(probs), axes.draws)))  # (v, draws)
        means = [influence.mean_gradient(influence.residuals(probs, y), embeddings) for y in drawn.T]
        return [torch.stack([scaled(mean) for mean in means]).mean(0)]
    residual = influence.residuals(probs, labels)  # (v, C)
    if goal == Goal.subtask_max:
        groups = [labels == c for c in labels.unique()]
        return [scaled(influence.mean_gradient(residual[g], embeddings[g])) for g in groups]
    mean = influence.mean_unit_gradient if goal == Goal.val_unit_mean else influence.mean_gradient
    return [scaled(mean(residual, embeddings))]


def _last_update(view: View) -> Tensor:
    before = view.signals.previous()
    old, new = before.head() if before else None, view.signals.head()
    if old is None or new is None:
        raise refusal(Need.head, "strategy.target=last_update")
    change = torch.cat([old.weight - new.weight, (old.bias - new.bias)[:, None]], dim=1)
    return change.to(view.signals.embeddings(view.unlabelled[:1]))
