"""DropQuery: items whose prediction changes when most of the input is dropped."""

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..needs import Need, refusal
from ..numerics.dropout import dropped_predictions, unstable
from ..registry import strategy
from ..types import Head, Selection, Size, View
from .clustering import fill, spread_out

BLOCK = 4096  # items whose inputs are dropped at a time


def memory(size: Size) -> int:
    """Bytes: features and embeddings, a unit copy and k-means' own, and blocks of masks."""
    return size.pool * (20 * size.features + 4 * size.embeddings + 120) + 60 * BLOCK * size.embeddings


@strategy(memory=memory, needs=[Need.answers, Need.head])
def dropquery(view: View, n: int, *, dropout: float, draws: int, per_pick: int) -> Selection:
    """Among the items that more than half of `draws` predictions with dropout on the head's inputs contradict, the
    nearest to n centres of k-means on unit features (Gupte et al. 2024). Fewer than `per_pick` n of them: a single
    contradiction is enough. With nothing labelled: k-means of the whole pool. Scores are the contradicting shares.
    """
    if not 0 < dropout < 1:
        raise UserError(f"strategy.dropout={dropout} is not a share between 0 and 1", "strategy.dropout=0.75")
    if draws < 1 or per_pick < 1:
        raise UserError(f"strategy.draws={draws} and strategy.per_pick={per_pick} must be 1 or more")
    head = view.signals.head()
    if head is None:
        raise refusal(Need.head)
    if not len(view.labelled):
        picks = spread_out(_unit(view, view.unlabelled), n, view.rng)
        return Selection(view.unlabelled[picks], torch.full((n,), float("nan"), device=picks.device))
    contradictions, threshold, candidates = _doubted(view, head, dropout, draws, per_pick * n)
    picks = _spread(view, candidates, n, view.rng)
    notes = {"candidates": float(len(candidates)), "threshold": float(threshold)}
    return Selection(view.unlabelled[picks], contradictions[picks].double() / draws, notes)


def _doubted(view: View, head: Head, dropout: float, draws: int, wanted: int) -> tuple[Tensor, int, Tensor]:
    """Contradictions of each item, their threshold and who is above it. The embeddings are let go before k-means."""
    embeddings = view.signals.embeddings(view.unlabelled)  # (u, D)
    without = view.signals.logits(view.unlabelled).argmax(1)  # (u,)
    predicted = dropped_predictions(embeddings, head.weight, head.bias, dropout, draws, view.rng, block=BLOCK)
    return unstable(without, predicted, wanted)


def _spread(view: View, candidates: Tensor, n: int, rng: np.random.Generator) -> Tensor:
    """n positions among the candidates by k-means; all of them and uniform others, where they are too few."""
    if len(candidates) <= n:
        return fill(candidates, len(view.unlabelled), n, rng)
    return candidates[spread_out(_unit(view, view.unlabelled[candidates]), n, rng)]


def _unit(view: View, idx: Tensor) -> Tensor:
    return torch.nn.functional.normalize(view.signals.features(idx), dim=1)  # (n, F)
