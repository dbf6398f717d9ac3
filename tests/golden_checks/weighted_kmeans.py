"""Weighted k-means: filter, weights, Lloyd from the file's centres or from drawn ones, nearest members."""

import numpy as np
import torch

from alrun.numerics.kmeans import Clusters, lloyd, nearest_members, seeds, weighted_picks
from alrun.numerics.ranking import highest
from alrun.numerics.uncertainty import margin

from . import check
from .golden_file import Golden


@check("weighted_kmeans")
def weighted_kmeans(golden: Golden) -> None:
    points, weights, candidates = _candidates(golden)
    if points is None:
        return
    k = golden.count("k") if "k" in golden else min(5, len(points))
    for seed in range(20):
        picks = weighted_picks(points, weights, k, np.random.default_rng(seed), block=64).tolist()
        distinct = len(set(picks)) == k and all(0 <= pick < len(points) for pick in picks)
        golden.satisfied("cand_features" if "cand_features" in golden else "features", distinct, f"we picked {picks}")
    if "init_centers" in golden:
        start = torch.from_numpy(golden["init_centers"]).double()
        if "k" in golden:
            golden.equal("k", len(start))
    else:
        start = points[seeds(points, weights, k, np.random.default_rng(0))]
        if not len(start):  # nothing has weight
            return
    for block in (7, 4096):
        found = lloyd(points, weights, start, block=block)
        _is_at_rest(golden, points, weights, found)
        _agrees(golden, found, weights, candidates)


def _candidates(golden: Golden) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor | None]:
    """The candidates' rows, weights, and pool indices where the file gives what they follow from."""
    doubt, candidates, weights = None, None, torch.empty(0)
    if "probs" in golden:
        doubt = margin(torch.from_numpy(golden["probs"]).double())
    if "informativeness" in golden:
        if doubt is not None:
            golden.close("informativeness", doubt)
        doubt = torch.from_numpy(golden["informativeness"]).double()
    if doubt is not None and golden.has("beta", "k"):
        candidates = highest(doubt, min(golden.count("beta") * golden.count("k"), len(doubt)))
    if "candidates" in golden:
        if candidates is not None:
            golden.equal("candidates", candidates)
        candidates = torch.from_numpy(golden["candidates"])
    if doubt is not None and candidates is not None:
        weights = doubt[candidates]
    if "weights" in golden:
        if len(weights):
            golden.close("weights", weights)
        weights = torch.from_numpy(golden["weights"]).double()
    points = None
    if "features" in golden and candidates is not None:
        points = torch.from_numpy(golden["features"]).double()[candidates]
    if "cand_features" in golden:
        if points is not None:
            golden.close("cand_features", points, atol=1e-6)
        points = torch.from_numpy(golden["cand_features"]).double()
    return points, weights, candidates


def _is_at_rest(golden: Golden, points: torch.Tensor, weights: torch.Tensor, found: Clusters) -> None:
    """Every point is with its nearest centre, every centre is the weighted mean of its points, picks are nearest."""
    direct = (points[:, None] - found.centres).square().sum(2)  # (n, k)
    nearest = direct.amin(1)
    np.testing.assert_allclose(found.squared, nearest, rtol=1e-9, atol=1e-9)
    picks = nearest_members(found)
    for c in found.members.unique().tolist():
        inside = found.members == c
        if float(weights[inside].sum()) > 0:
            mean = (weights[inside, None] * points[inside]).sum(0) / weights[inside].sum()
            np.testing.assert_allclose(found.centres[c], mean, rtol=1e-9, atol=1e-9)
    assert len(picks) == len(found.members.unique()) == len(set(picks.tolist()))
    best = [float(found.squared[found.members == c].min()) for c in found.members.unique().tolist()]
    at_rest = np.allclose(found.squared[picks].sort().values, sorted(best), rtol=1e-12, atol=0)
    golden.satisfied("cand_features" if "cand_features" in golden else "features", at_rest, "picks are not nearest")


def _agrees(golden: Golden, found: Clusters, weights: torch.Tensor, candidates: torch.Tensor | None) -> None:
    picks = nearest_members(found)
    twin = golden.get("canonical_id")
    expected = {
        "centers": found.centres,
        "assignment": found.members,
        "inertia": weights @ found.squared,
        "n_iter": found.steps,
        "nearest_in_candidates": picks,
        "selected": None if candidates is None else candidates[picks],
    }
    for key, ours in expected.items():
        if key not in golden:
            continue
        if key in ("centers", "inertia"):
            golden.close(key, ours)
        elif ours is not None and twin is not None and key in ("nearest_in_candidates", "selected"):
            inside = key == "nearest_in_candidates" and len(twin) != len(weights) and candidates is not None
            kind = twin[candidates] if inside else twin  # twins of the pool, or of the candidates alone
            golden.satisfied(key, np.array_equal(kind[ours], kind[golden[key]]), f"we picked {ours}")
        elif ours is not None:
            golden.equal(key, ours)
