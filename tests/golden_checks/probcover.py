"""ProbCover: picks and what they cover; its radius by purity."""

import numpy as np
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.numerics.distances import unit_rows
from alrun.numerics.purity import largest_pure_radius, other_class_distances, purity

from . import check
from .golden_file import Golden


@check("probcover")
def probcover(golden: Golden) -> None:
    features, delta = golden["features"], golden.number("delta")
    labelled = golden.labelled(len(features))
    golden.for_information("selected_official", "gap", "gains")
    points = unit_rows(torch.from_numpy(features))
    near = (torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist") < delta).numpy()
    start = int(near[labelled].any(0).sum())
    if "covered_start" in golden:
        golden.equal("covered_start", start)
    listed = [key for key in ("selected", "new_covered", "covered_total") if key in golden]
    if not listed and "n_positive" not in golden:
        return
    n = golden.count("batch_size") if "batch_size" in golden else len(golden[listed[0]])
    for dtype in (np.float64, np.float32) if (features.astype(np.float32) == features).all() else (np.float64,):
        choose = registry.build("strategy", {"name": "probcover", "delta": delta, "purity": 0.95})
        ours = choose(view(ArraySignals(features=features.astype(dtype)), len(features), labelled), n)
        picks, new = ours.indices.numpy(), ours.scores.numpy()
        np.testing.assert_allclose(ours.notes["covered"], (near[labelled].any(0) | near[picks].any(0)).mean())
        for key, value in (
            ("n_positive", (new > 0).sum()),
            ("new_covered", new),
            ("covered_total", start + new.cumsum()),
        ):
            if key in golden:
                golden.equal(key, value)
        positive = int((new > 0).sum())
        np.testing.assert_array_equal(picks, _completed(picks[:positive], labelled, len(features), n))
        if "selected" in golden:
            twin, selected = golden.twins(len(features)), golden["selected"]
            useful = len(selected) == n and (twin[picks[:positive]] == twin[selected[:positive]]).all()
            right = useful and (selected == _completed(selected[:positive], labelled, len(features), n)).all()
            golden.satisfied("selected", bool(right), f"we picked {picks}")


def _completed(useful: np.ndarray, labelled: np.ndarray, size: int, n: int) -> np.ndarray:
    """(n,) these picks, then the lowest indices that are left."""
    return np.concatenate([useful, np.setdiff1d(np.arange(size), np.concatenate([labelled, useful]))])[:n]


@check("probcover_purity")
def probcover_purity(golden: Golden) -> None:
    points = unit_rows(torch.from_numpy(golden["features"]))
    radii = golden["radii"]
    for block in (7, 1024):
        distances = other_class_distances(points, torch.from_numpy(golden["cluster_labels"]), block=block)
        if "purity" in golden:
            golden.close("purity", [purity(distances, radius) for radius in radii])
        if "best_radius" in golden:  # the largest of the grid that is pure enough; if none is, the smallest
            exact = largest_pure_radius(distances, golden.number("threshold"))
            pure = radii[radii <= exact]
            golden.close("best_radius", pure.max() if len(pure) else radii.min())
