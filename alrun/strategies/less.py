"""LESS-alignment: label what pulls the parameters towards a target, or away from it.

Every item's gradient at an imagined label is compared with the gradient of a target (Xia et al. 2024 score training
data so; labels are imagined because nobody has paid for the true ones). A high score under `sign: aligned` means that a
training step on the item lowers the target's loss. Only label-averages that are not linear are offered: over the
model's own predictions the mean gradient of the log-loss is exactly zero, and its score with it.
"""

import torch

from ..numerics import influence
from ..numerics.kcentre import farthest_first
from ..numerics.pursuit import matching_pursuit, mmr
from ..numerics.ranking import highest
from ..registry import strategy
from ..types import Scope, Selection, Size, View
from . import less_axes as axis
from .less_axes import SIGN, Alignment, Axes, Batch, Sign, check
from .less_head import HeadAlignment, sufficient
from .less_network import NetworkAlignment


def memory(size: Size) -> int:
    """Bytes on the head: embeddings of the pool twice, probabilities, residuals, a few numbers per item."""
    return size.pool * (8 * size.embeddings + 16 * size.classes + 64)


@strategy(
    memory=memory,
    diagnostic=lambda options: options["label"] == axis.Label.oracle,
    needs=axis.needs,
    meaning=axis.meaning,
)
def less(
    view: View,
    n: int,
    *,
    label: axis.Label,
    draws: int,
    average: axis.Average,
    target: axis.Goal,
    update: axis.Update,
    adam_form: axis.AdamForm,
    normalise: axis.Normalise,
    scope: Scope,
    trajectory: axis.Trajectory,
    sign: axis.Sign,
    selection: axis.Batch,
    trade_off: float,
    prefilter: int,
    sketch: int,
) -> Selection:
    """The items whose imagined gradient is best aligned with the target's, by inner product or cosine."""
    axes = Axes(
        label=label,
        draws=draws,
        average=average,
        target=target,
        update=update,
        adam_form=adam_form,
        normalise=normalise,
        scope=Scope(scope),
        trajectory=trajectory,
        sign=sign,
        selection=selection,
        trade_off=trade_off,
        prefilter=prefilter,
        sketch=sketch,
    )
    check(axes)
    items: Alignment = HeadAlignment(view, axes) if sufficient(view, axes) else NetworkAlignment(view, axes)
    return chosen(view, n, axes, items)


def chosen(view: View, n: int, axes: Axes, items: Alignment) -> Selection:
    """The batch: the best scores, or scores and what was picked before."""
    if axes.selection == Batch.matching_pursuit:
        gradients, goal = items.gradients(), items.goal()
        start = -goal if axes.sign == Sign.opposed else goal
        picks, values, left = matching_pursuit(gradients, start, n, magnitude=axes.sign == Sign.magnitude)
        residual = (left[-1] / left[0].clamp_min(influence.ZERO)).item()
        return Selection(view.unlabelled[picks], values, items.notes | {"residual": residual})
    scores = SIGN[axes.sign](items.scores())  # (u,)
    if axes.selection == Batch.mmr:
        picks, values = mmr(items.gradients(), scores, n, trade_off=axes.trade_off)
        return Selection(view.unlabelled[picks], values, items.notes)
    kept = torch.arange(len(scores), device=scores.device)
    if axes.selection == Batch.kcenter_prefilter and max(axes.prefilter, n) < len(scores):
        embeddings = view.signals.embeddings(view.unlabelled)
        kept = farthest_first(embeddings, embeddings[:0], max(axes.prefilter, n))[0].sort().values
    picks = kept[highest(scores[kept], n)]
    return Selection(view.unlabelled[picks], scores[picks], items.notes)
