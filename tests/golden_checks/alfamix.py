"""ALFA-Mix: anchors, predictions, thresholds and the candidates of every cap."""

import numpy as np
import torch
from arrays import ArraySignals, view
from torch import Tensor

from alrun import registry
from alrun.numerics.mixing import anchor_distances, class_anchors, critical_steps, growing_caps, loss_directions
from alrun.types import Head

from . import check
from .golden_file import FLOAT32, Golden

ULP = 2.0**-53  # of numbers just below 1
NAIVE = range(-4, 5)  # a softmax's largest share is right to so many of them
LABELLED = ("labelled_embeddings", "labelled_y")
HEAD = ("head_weight", "head_bias")


@check("alfamix")
def alfamix(golden: Golden) -> None:
    z, known = (golden.get(f"{part}_embeddings") for part in ("unlabelled", "labelled"))
    golden.for_information("canonical_id", "cap_step", "batch_size")
    forms, distances = None, None
    if z is not None and golden.has(*HEAD):
        head = Head(*(torch.from_numpy(golden[key]).double() for key in HEAD))
        forms = _forms(torch.from_numpy(z).double(), head)
        _steps(golden, forms, torch.from_numpy(z).double(), head)
    if known is not None and not len(known):
        _nothing_labelled(golden)
    elif golden.has(*LABELLED):
        labels = torch.from_numpy(golden["labelled_y"].astype(np.int64))
        anchors = class_anchors(torch.from_numpy(known), labels, _classes(golden, labels))
        if "anchors" in golden:
            golden.close("anchors", anchors)
        if z is not None:
            distances = anchor_distances(torch.from_numpy(z).double(), anchors)
        if distances is not None and "anchor_distance" in golden:
            rounded = "anchors" in golden and golden["anchors"].dtype == np.float32
            golden.close("anchor_distance", distances, rtol=FLOAT32 if rounded else 1e-9)
    if forms is not None and distances is not None:
        _candidates(golden, forms, distances)


def _classes(golden: Golden, labels: Tensor) -> int:
    if "n_classes" in golden:
        return golden.count("n_classes")
    sizes = [len(golden[key]) for key in ("head_bias", "anchors") if key in golden]
    return sizes[0] if sizes else int(labels.max()) + 1


def _forms(z: Tensor, head: Head) -> list[tuple[Tensor, Tensor]]:
    """Unit gradients (n, D) and critical steps (n,): ours, and those of softmax minus one-hot, which has lost digits
    where an item is nearly certain, as its largest share is rounded by this or that library.
    """
    predicted, logits, direction = loss_directions(z, *head)
    forms = [(direction, critical_steps(z, *head, block=7))]
    share = logits.softmax(1)
    for off in NAIVE:
        residual = share.scatter_add(1, predicted[:, None], torch.full_like(share[:, :1], off * ULP - 1))
        gradient = residual @ head.weight
        length = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        direction = gradient / length.where(length > 0, 1)
        slope = direction @ head.weight.T
        gain = slope - slope.gather(1, predicted[:, None])
        gap = logits.gather(1, predicted[:, None]) - logits
        forms.append((direction, torch.where(gain > 0, gap / gain.where(gain > 0, 1), torch.inf).amin(1)))
    return forms


def _steps(golden: Golden, forms: list[tuple[Tensor, Tensor]], z: Tensor, head: Head) -> None:
    """Predictions, and each row of the gradients and steps by one of the forms."""
    if "predicted" in golden:
        golden.equal("predicted", loss_directions(z, *head)[0])
    for part, key in enumerate(("grad_direction", "critical_step")):
        if key not in golden:
            continue
        stored, ours = golden[key], forms[0][part].numpy().copy()
        golden.satisfied(key, stored.shape == ours.shape, f"{stored.shape}, not {ours.shape}")
        for form in forms[1:]:
            other = form[part].numpy()
            fits = np.isclose(other, stored, 1e-9, 1e-7).reshape(len(z), -1).all(1)
            ours[fits] = other[fits]
        golden.close(key, ours)


def _candidates(golden: Golden, forms: list[tuple[Tensor, Tensor]], distances: Tensor) -> None:
    """Masks by one of the forms in every row, caps by the rule, and the candidates that a user's run picks."""
    reach, dim = distances.amax(1), golden["unlabelled_embeddings"].shape[1]
    pool, ruled = len(reach), golden.has("batch_size", "cap_step")
    n = golden.count("batch_size") if "batch_size" in golden else pool
    if ruled:
        tried = growing_caps(reach, forms[0][1], dim, n, golden.number("cap_step"))
        caps = np.array([cap for cap, _ in tried])
    elif "caps_tried" in golden:
        caps = golden["caps_tried"]
    else:
        return
    every, last = golden.get("candidate_mask_per_cap"), golden.get("candidate_mask")
    if ruled and every is not None and len(every) != len(caps):  # the file's own masks say when to stop
        counts = every.astype(bool).sum(1)
        caps = golden.number("cap_step") * np.arange(1, len(every) + 1)
        stopped = len(every) and (counts[:-1] <= n).all() and (counts[-1] > n or caps[-1] >= 1 - 1e-9)
        golden.satisfied(
            "candidate_mask_per_cap", bool(stopped and caps[-1] - golden.number("cap_step") < 1), f"{counts}"
        )
    if ruled and "caps_tried" in golden:
        golden.close("caps_tried", caps)
    masks = np.stack([[(cap / np.sqrt(dim) * reach > steps).numpy() for cap in caps] for _, steps in forms])
    for key, stored, ours in (
        ("candidate_mask_per_cap", every, masks),  # (forms, T, n)
        ("candidate_mask", last, masks.any(1, keepdims=True)),
    ):
        if stored is None:
            continue
        rows = stored.astype(bool).reshape(-1, pool)
        right = rows.shape == ours.shape[1:] and (rows == ours).all(1).any(0).all()
        golden.satisfied(key, bool(right), f"we have {np.flatnonzero(ours[0].any(0))}")
    if every is not None and last is not None:
        golden.satisfied("candidate_mask", np.array_equal(last, every.any(0)), "not the union over caps")
    if last is not None and ruled and golden.has(*LABELLED):
        picks, ours = choose(golden, n), tried[-1][1].numpy()
        among, wanted = int(ours[picks].sum()), min(n, int(ours.sum()))
        golden.satisfied("candidate_mask", among == wanted, f"{among} of {wanted} candidates picked")


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


def _nothing_labelled(golden: Golden) -> None:
    """No anchors, no candidates: a full batch of uniform draws."""
    if golden.has("batch_size", "unlabelled_embeddings", "labelled_y", *HEAD):
        assert len(choose(golden, golden.count("batch_size"))) == golden.count("batch_size")
    for key in ("candidate_mask", "candidate_mask_per_cap"):
        if key in golden:
            golden.satisfied(key, not golden[key].any(), "candidates without an anchor")
    golden.for_information("anchors", "anchor_distance", "caps_tried")
