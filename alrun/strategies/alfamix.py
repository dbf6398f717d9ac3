"""ALFA-Mix: items whose prediction changes when their embedding is mixed with a little of another class."""

import torch

from ..errors import UserError
from ..needs import Need, refusal
from ..numerics.mixing import BLOCK, class_anchors, critical_steps, farthest_anchors, growing_caps
from ..registry import strategy
from ..types import Selection, Size, View
from .clustering import fill, spread_out


def memory(size: Size) -> int:
    """Bytes: embeddings, unit candidates (between a few and all) with what k-means takes, and blocks in float64."""
    return size.pool * (9 * size.embeddings + 80) + BLOCK * (40 * size.classes + 24 * size.embeddings)


@strategy(memory=memory, needs=[Need.head])
def alfamix(view: View, n: int, *, cap_step: float) -> Selection:
    """Candidates change class within the smallest mixing cap that gives more than n of them; the nearest to each of n
    k-means centres of their unit embeddings (Parvaneh et al. 2022, closed form, as released with its growing cap).

    Too few: all of them, best first, and uniform draws from the rest. Scores are the caps at which predictions change,
    negated: less mixing is better. Nothing labelled: no anchors, uniform draws.
    """
    if not 0 < cap_step <= 1:
        raise UserError(f"strategy.cap_step={cap_step} is not a share above 0", "strategy.cap_step=0.2")
    head = view.signals.head()
    if head is None:
        raise refusal(Need.head)
    embeddings = view.signals.embeddings(view.unlabelled)  # (u, D)
    if not len(view.labelled):
        none = torch.empty(0, dtype=torch.int64, device=embeddings.device)
        picks = fill(none, len(embeddings), n, view.rng)
        return Selection(view.unlabelled[picks], torch.full((n,), torch.nan, device=embeddings.device))
    anchors = class_anchors(view.signals.embeddings(view.labelled), view.labels, view.n_classes)  # (C, D)
    reach = farthest_anchors(embeddings, anchors)  # (u,)
    steps = critical_steps(embeddings, head.weight, head.bias)  # (u,)
    cap, mask = growing_caps(reach, steps, embeddings.shape[1], n, cap_step)[-1]
    needed = steps * embeddings.shape[1] ** 0.5 / reach  # (u,) the cap at which each changes
    candidates = mask.nonzero().flatten()
    if len(candidates) > n:
        unit = torch.nn.functional.normalize(embeddings[candidates], dim=1)
        picks = candidates[spread_out(unit, n, view.rng)]
    else:
        picks = fill(candidates[needed[candidates].argsort(stable=True)], len(embeddings), n, view.rng)
    scores = -needed[picks].where(needed[picks].isfinite(), torch.nan)  # NaN: no mixing changes it
    return Selection(view.unlabelled[picks], scores, {"cap": cap, "candidates": float(len(candidates))})
