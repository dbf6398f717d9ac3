"""ALFA-Mix: anchors, predictions, thresholds and the candidates of every cap."""

import numpy as np
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.numerics.mixing import anchor_distances, class_anchors, critical_steps, growing_caps, loss_directions
from alrun.types import Head

from . import check
from .golden_file import Golden


@check("alfamix")
def alfamix(golden: Golden) -> None:
    z, known = (torch.from_numpy(golden[f"{part}_embeddings"]).double() for part in ("unlabelled", "labelled"))
    labels = torch.from_numpy(golden["labelled_y"].astype(np.int64))
    head = Head(*(torch.from_numpy(golden[f"head_{part}"]).double() for part in ("weight", "bias")))
    n_classes = golden.count("n_classes") if "n_classes" in golden else len(head.bias)
    golden.for_information("canonical_id", "cap_step", "batch_size")
    predicted, _, direction = loss_directions(z, *head)
    steps = critical_steps(z, *head, block=7)
    if "predicted" in golden:
        golden.equal("predicted", predicted)
    if "critical_step" in golden:
        golden.close("critical_step", steps)
    if "grad_direction" in golden:
        golden.close("grad_direction", direction)
    if not len(labels):
        nothing_labelled(golden)
        return
    anchors = class_anchors(known, labels, n_classes)
    distances = anchor_distances(z, anchors)
    if "anchors" in golden:
        golden.close("anchors", anchors)
    if "anchor_distance" in golden:
        golden.close("anchor_distance", distances)
    if not golden.has("batch_size", "cap_step"):
        return
    n = golden.count("batch_size")
    tried = growing_caps(distances.amax(1), steps, z.shape[1], n, golden.number("cap_step"))
    masks = torch.stack([mask for _, mask in tried]).numpy()
    if "caps_tried" in golden:
        golden.close("caps_tried", [cap for cap, _ in tried])
    if "candidate_mask_per_cap" in golden:
        golden.equal("candidate_mask_per_cap", masks.astype(golden["candidate_mask_per_cap"].dtype))
    if "candidate_mask" in golden:
        golden.equal("candidate_mask", masks.any(0).astype(golden["candidate_mask"].dtype))
        picks = choose(golden, n)
        among = masks[-1][picks]
        wanted = min(n, masks[-1].sum())
        golden.satisfied("candidate_mask", among.sum() == wanted, f"{among.sum()} of {wanted} candidates picked")


def choose(golden: Golden, n: int) -> np.ndarray:
    """Rows of the unlabelled embeddings that a user's run picks."""
    z, known = golden["unlabelled_embeddings"], golden["labelled_embeddings"]
    head = Head(torch.from_numpy(golden["head_weight"]), torch.from_numpy(golden["head_bias"]))
    signals = ArraySignals(embeddings=np.concatenate([z, known]), head=head)
    labelled = np.arange(len(z), len(z) + len(known))
    seen = view(signals, len(z) + len(known), labelled, golden["labelled_y"].astype(np.int64), len(head.bias))
    cap_step = golden.number("cap_step") if "cap_step" in golden else 0.2
    picks = registry.build("strategy", {"name": "alfamix", "cap_step": cap_step})(seen, n).indices.numpy()
    assert len(set(picks)) == n and (picks < len(z)).all()
    return picks


def nothing_labelled(golden: Golden) -> None:
    """No anchors, no candidates: a full batch of uniform draws."""
    if "batch_size" in golden:
        picks = choose(golden, golden.count("batch_size"))
        golden.satisfied("batch_size", len(picks) == golden.count("batch_size"), f"we picked {picks}")
    for key in ("candidate_mask", "candidate_mask_per_cap"):
        if key in golden:
            golden.satisfied(key, not golden[key].any(), "candidates without an anchor")
    golden.for_information("anchors", "anchor_distance", "caps_tried")
