"""Weighted k-means: filter, weights, Lloyd from the file's centres or from drawn ones, nearest members."""

import numpy as np
import torch

from alrun.numerics.kmeans import Clusters, lloyd, nearest_members, seeds, weighted_picks
from alrun.numerics.ranking import highest
from alrun.numerics.uncertainty import margin

from . import check
from .golden_file import Golden
from .ties import TIED


@check("weighted_kmeans")
def weighted_kmeans(golden: Golden) -> None:
    points, weights, candidates = _candidates(golden)
    if points is None or len(weights) != len(points):
        golden.for_information("k")
        return
    k = golden.count("k") if "k" in golden else min(5, len(points))
    if k <= len(points):
        for seed in range(20):
            picks = weighted_picks(points, weights, k, np.random.default_rng(seed), block=64).tolist()
            distinct = len(set(picks)) == k and all(0 <= pick < len(points) for pick in picks)
            golden.satisfied(_rows(golden), distinct, f"we picked {picks}")
    if "init_centers" in golden or "centers" in golden:  # a file's centres are at rest
        start = torch.from_numpy(golden["init_centers" if "init_centers" in golden else "centers"]).double()
        golden.given("k", len(start))
    elif not len(points) or not len(start := points[seeds(points, weights, k, np.random.default_rng(0))]):
        return  # nothing there, or nothing has weight
    for block in (7, 4096):
        found = lloyd(points, weights, start, block=block)
        _is_at_rest(golden, points, weights, found)
        _agrees(golden, points, found, weights, candidates)


def _rows(golden: Golden) -> str:
    """Where the candidates' rows come from."""
    return "cand_features" if "cand_features" in golden else "features"


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
            _same_candidates(golden, candidates.numpy())
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


def _same_candidates(golden: Golden, ours: np.ndarray) -> None:
    if "canonical_id" in golden and golden["candidates"].shape == ours.shape:
        twin = golden["canonical_id"]
        same = np.array_equal(twin[ours], twin[golden["candidates"]])
        golden.satisfied("candidates", same, f"we have {ours}")
    else:
        golden.equal("candidates", ours)


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
    golden.satisfied(_rows(golden), at_rest, "picks are not nearest")


def _agrees(
    golden: Golden, points: torch.Tensor, found: Clusters, weights: torch.Tensor, candidates: torch.Tensor | None
) -> None:
    if "centers" in golden:
        golden.close("centers", found.centres)
    if "inertia" in golden:
        golden.close("inertia", weights @ found.squared)
    if "assignment" in golden:
        golden.equal("assignment", found.members)
    if golden.has("n_iter", "init_centers"):
        golden.equal("n_iter", found.steps)
    twin = golden.get("canonical_id")
    if twin is not None and candidates is not None and bool((candidates < len(twin)).all()):
        twin = twin[candidates]  # of the pool, or of the candidates alone
    if "nearest_in_candidates" in golden:
        _nearest(golden, "nearest_in_candidates", golden["nearest_in_candidates"], points, found, weights, twin)
    if "selected" in golden and candidates is not None:
        place = {pool: at for at, pool in enumerate(candidates.tolist())}
        where = np.array([place.get(pool, -1) for pool in golden["selected"].tolist()], dtype=np.int64)
        _nearest(golden, "selected", where, points, found, weights, twin)


def _nearest(
    golden: Golden,
    key: str,
    theirs: np.ndarray,
    points: torch.Tensor,
    found: Clusters,
    weights: torch.Tensor,
    kind: np.ndarray | None,
) -> None:
    """The positions `theirs` are the nearest member of each cluster; an empty one has none, or the heaviest left.

    Rows of one `kind`, and members as near up to rounding, stand for each other; without kinds the lowest equal row.
    """
    plain = nearest_members(found)
    empty = len(found.centres) - len(plain)
    left = weights.index_fill(0, plain, -torch.inf)
    filled = highest(left, min(empty, len(points) - len(plain)))
    full = np.isin(np.arange(len(found.centres)), found.members)  # (k,)
    in_place = np.zeros(len(full), dtype=np.int64)
    in_place[full] = plain
    in_place[~full] = np.resize(filled, empty) if empty and len(filled) else 0
    squared, members, rows = found.squared.numpy(), found.members.numpy(), points.numpy()

    def stands_for(ours: int, other: int) -> bool:
        if other < 0 or other >= len(rows):
            return False
        if ours == other or (kind is not None and kind[ours] == kind[other]):
            return True
        near = bool(np.isclose(squared[ours], squared[other], rtol=TIED, atol=TIED))
        return (
            near and members[ours] == members[other] and ours in plain and not np.array_equal(rows[ours], rows[other])
        )

    readings = (plain.numpy(), np.concatenate([plain, filled]), in_place)
    good = len(set(theirs.tolist())) == len(theirs) and any(
        len(ours) == len(theirs) and all(map(stands_for, ours.tolist(), theirs.tolist())) for ours in readings
    )
    golden.satisfied(key, good, f"we picked {plain.tolist()}, and {filled.tolist()} for empty clusters")
