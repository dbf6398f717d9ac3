"""Alignment of gradients of any parameters, at the end of training or summed over its checkpoints, plain or Adam's.

Plain inner products and cosines form no gradient; Adam's directions are not linear in the gradient, so they are formed
some items at a time and dropped (LESS, Xia et al. 2024, sec. 3.1; numerics/adam.py has the forms). Adam belongs to the
pool's side alone: targets stay plain. Labels are imagined by the current model at every checkpoint.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..errors import UserError
from ..numerics import influence
from ..numerics.adam import Form, linear_adam
from ..numerics.projections import Count, draw_count
from ..numerics.pursuit import Dense
from ..numerics.reduction import Moments, Reduction
from ..types import Gradients, View
from .less_axes import OVER_LABELS, AdamForm, Average, Axes, Goal, Label, Trajectory, Update, settled, target_split

ROWS = 4 * 2**30  # bytes of formed gradients above which a sketch is asked for


class NetworkAlignment:
    """Labels of the unlabelled items, one or several columns, and gradients and targets (s, P) of every checkpoint."""

    def __init__(self, view: View, axes: Axes) -> None:
        self.view, self.axes = view, axes
        self.probs = view.signals.probs(view.unlabelled)  # (u, C)
        self._sketch: Count | None = None
        self.columns, self.single = imagined(view, axes, self.probs)
        found, self.notes = settled(view, axes.target)
        last = view.signals.gradients(axes.scope)
        path = last.checkpoints() if axes.trajectory == Trajectory.checkpoints else [(1.0, last)]
        total = sum(rate for rate, _ in path) or 1.0
        drawn = None  # the same labels at every checkpoint
        if found == Goal.hallucinated_val:
            probs = target_split(view, found).probs
            drawn = influence.sample_labels(probs, view.rng.random((len(probs), axes.draws)))  # (v, draws)
        self.path = [(rate / total, gradients, goals(view, found, axes, gradients, drawn)) for rate, gradients in path]

    def scores(self) -> Tensor:
        """(u,) the best over targets, before the sign; influence is summed over checkpoints first."""
        table = torch.stack([weight * self._table(gradients, t) for weight, gradients, t in self.path]).sum(0)
        if self.axes.label in OVER_LABELS:
            each = [OVER_LABELS[self.axes.label](scores, self.probs) for scores in table.unbind(2)]
        else:
            each = list(table.mean(1).unbind(1))
        return torch.stack(each).amax(0)

    def goal(self) -> Tensor:
        """(width,) the one target as `gradients` holds it."""
        sketch = self._sketched(self.path[0][2].shape[1])
        scaled = [weight**0.5 * goals[:1] for weight, _, goals in self.path]
        return torch.cat([(rows if sketch is None else sketch(rows))[0] for rows in scaled])

    def gradients(self) -> Dense:
        """(u, width) rows, side by side for checkpoints; sketched where they are longer than `sketch`."""
        size = len(self.path[0][1].parameters())
        width = min(size, self.axes.sketch or size) * len(self.path)
        if len(self.single) * width * 4 > ROWS:
            raise UserError(
                f"the gradients of {len(self.single):,} items x {width:,} numbers take "
                f"{len(self.single) * width * 4 / 1e9:.0f} GB",
                "strategy.sketch=4096, or a smaller strategy.scope",
            )
        parts = []
        for weight, gradients, _ in self.path:
            kept = Reduction(self._adam(gradients), self.axes.cosines, times=weight**0.5, sketch=self._sketched(size))
            parts.append(self._kept(gradients, self.single, kept))
        return Dense(torch.cat(parts, dim=1))

    def _sketched(self, size: int) -> Count | None:
        """A sketch where gradients are longer than `sketch`: one hash, for items, targets and checkpoints."""
        if self._sketch is None and 0 < self.axes.sketch < size:
            self._sketch = draw_count(size, self.axes.sketch, self.view.rng)
        return self._sketch

    def _table(self, gradients: Gradients, goals: Tensor) -> Tensor:
        """(u, columns, s) scores at one checkpoint."""
        idx, plain = self.view.unlabelled, self.axes.update == Update.sgd
        if self.axes.label in OVER_LABELS and plain and not self.axes.cosines:
            return torch.stack([gradients.label_scores(idx, self.probs.shape[1], t) for t in goals], dim=2)
        return torch.stack([self._column(gradients, labels, goals) for labels in self.columns], dim=1)

    def _column(self, gradients: Gradients, labels: Tensor, goals: Tensor) -> Tensor:
        """(u, s) scores for these labels."""
        idx = self.view.unlabelled
        if self.axes.update == Update.sgd:
            score = gradients.cosines if self.axes.cosines else gradients.scores
            return score("pool", idx, labels, goals)
        if self.axes.update == Update.adam_linear:
            adam = gradients.adam()
            scaled, constant = linear_adam(goals, adam.first, adam.second, betas=adam.betas, eps=adam.eps)
            return gradients.scores("pool", idx, labels, scaled) + constant
        return self._kept(gradients, labels, Reduction(self._adam(gradients), self.axes.cosines, onto=goals))

    def _kept(self, gradients: Gradients, labels: Tensor, reduction: Reduction) -> Tensor:
        """(u, width) what the reduction keeps of every item's gradient."""
        like = gradients.parameters()
        kept = like.new_empty(len(labels), reduction.width(len(like)))
        for at, rows in gradients.vectors("pool", self.view.unlabelled, labels, reduction):
            kept[at] = rows
        return kept

    def _adam(self, gradients: Gradients) -> Moments | None:
        """Adam's state, where its direction is meant."""
        if self.axes.update != Update.adam:
            return None
        adam, form = gradients.adam(), cast(Form, str(self.axes.adam_form))
        step = adam.step if self.axes.adam_form == AdamForm.torch_step else max(adam.step, 1)
        return Moments(adam.first, adam.second, adam.betas, adam.eps, step, form)


def imagined(view: View, axes: Axes, probs: Tensor) -> tuple[list[Tensor], Tensor]:
    """Labels that are scored, column by column, and those of the one gradient an item has in a diverse batch.

    (u,) int64, or (u, C) shares where the gradients of several draws are averaged.
    """
    best, classes = probs.argmax(1), probs.shape[1]
    if axes.label in OVER_LABELS:
        return [torch.full_like(best, label) for label in range(classes)], best
    if axes.label == Label.oracle:
        labels = view.signals.oracle_labels(view.unlabelled)
        return [labels], labels
    if axes.label == Label.argmax:
        return [best], best
    drawn = influence.sample_labels(probs, view.rng.random((len(probs), axes.draws)))  # (u, draws)
    if axes.draws == 1:
        return [drawn[:, 0]], drawn[:, 0]
    shares = one_hot(drawn, classes).to(probs).mean(1)  # (u, C)
    return (list(drawn.T) if axes.average == Average.scores else [shares]), shares


def goals(view: View, goal: Goal, axes: Axes, gradients: Gradients, drawn: Tensor | None) -> Tensor:
    """(s, P) target gradients at one checkpoint, of which an item's best score counts; at length one for cosines."""
    scaled = influence.unit if axes.cosines else torch.clone
    if goal == Goal.labelled_mean:
        return scaled(gradients.mean("pool", view.labelled, view.labels))[None]
    if goal == Goal.last_update:
        before = view.signals.previous()
        assert before is not None
        now = view.signals.gradients(axes.scope).parameters()
        return scaled(before.gradients(axes.scope).parameters() - now)[None]
    labels = target_split(view, goal).labels
    every = torch.arange(len(labels), device=labels.device)
    if drawn is not None:
        means = [scaled(gradients.mean("target", every, y)) for y in drawn.T]
        return torch.stack(means).mean(0)[None]
    if goal == Goal.subtask_max:
        groups = [every[labels == c] for c in labels.unique()]
        return torch.stack([scaled(gradients.mean("target", group, labels[group])) for group in groups])
    weights = None
    if goal == Goal.val_unit_mean:
        lengths = gradients.norms("target", every, labels)
        weights = influence.cosine(torch.ones_like(lengths), lengths)
    return scaled(gradients.mean("target", every, labels, weights))[None]
