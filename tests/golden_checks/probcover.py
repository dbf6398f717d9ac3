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
    labelled = golden["labelled"].astype(np.int64) if "labelled" in golden else np.zeros(0, np.int64)
    unlabelled = np.setdiff1d(np.arange(len(features)), labelled)
    if "unlabelled" in golden:
        golden.equal("unlabelled", unlabelled)
    golden.for_information("selected_official", "canonical_id", "gap", "gains")
    twin = golden["canonical_id"] if "canonical_id" in golden else np.arange(len(features))
    points = unit_rows(torch.from_numpy(features))
    near = (torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist") < delta).numpy()
    start = near[labelled].any(0)
    n = golden.count("batch_size")
    for dtype in (np.float64, np.float32):
        choose = registry.build("strategy", {"name": "probcover", "delta": delta, "purity": 0.95})
        ours = choose(view(ArraySignals(features=features.astype(dtype)), len(features), labelled), n)
        picks = ours.indices.numpy()
        assert len(set(picks)) == n and np.isin(picks, unlabelled).all()
        new = ours.scores.numpy()
        positive = int((new > 0).sum())
        if "n_positive" in golden:
            golden.equal("n_positive", positive)
        if "selected" in golden:
            useful = golden["selected"][:positive]
            golden.satisfied("selected", (twin[picks[:positive]] == twin[useful]).all(), f"we picked {picks}")
            rest = [i for i in unlabelled if i not in picks[:positive]][: n - positive]
            np.testing.assert_array_equal(picks[positive:], rest)
        if "new_covered" in golden:
            golden.equal("new_covered", new)
        if "covered_start" in golden:
            golden.equal("covered_start", start.sum())
        if "covered_total" in golden:
            golden.equal("covered_total", start.sum() + new.cumsum())
        covered = (near[labelled].any(0) | near[picks].any(0)).mean()
        np.testing.assert_allclose(ours.notes["covered"], covered)


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
    golden.for_information("threshold")
