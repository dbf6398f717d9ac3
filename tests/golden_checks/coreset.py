"""Coreset: picks, their distances, and what is left uncovered."""

import numpy as np
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.numerics.kcentre import nearest_distances

from . import check
from .golden_file import FLOAT32, Golden
from .ties import gaps, greedy, kinds, lowest_first


@check("coreset")
def coreset(golden: Golden) -> None:
    features = golden["features"]
    labelled = golden.labelled(len(features))
    unlabelled = np.setdiff1d(np.arange(len(features)), labelled)
    golden.for_information("selected_official")
    listed = [len(golden[key]) for key in ("selected", "pick_distance") if key in golden]
    if "batch_size" not in golden and not listed:
        return
    n = golden.count("batch_size") if "batch_size" in golden else listed[0]
    for dtype, rtol in ((np.float64, 1e-9), (np.float32, FLOAT32)):
        points = features.astype(dtype)
        if not np.array_equal(points, features):
            continue  # other points, whose ties and distances are others
        choose = registry.build("strategy", {"name": "coreset", "space": "embeddings"})
        ours = choose(view(ArraySignals(embeddings=points), len(points), labelled), n)
        picks, distances = ours.indices.numpy(), ours.scores.numpy()
        assert len(set(picks)) == n and np.isin(picks, unlabelled).all()
        if "selected" in golden:
            _agrees(golden, features.astype(np.float64), labelled, unlabelled, picks)
            if not np.array_equal(picks, golden["selected"]):
                picks = golden["selected"]  # what follows from a tie is measured along them
                distances = _replay(points.astype(np.float64), labelled, unlabelled, picks)[np.arange(n), picks]
        if "pick_distance" in golden:
            golden.close("pick_distance", distances, rtol=rtol)
        centres = torch.from_numpy(points[np.concatenate([labelled, picks])])
        left = nearest_distances(torch.from_numpy(points), centres)[unlabelled]
        if "min_distance_final" in golden:
            golden.close("min_distance_final", left, rtol=rtol)
        if "cover_radius_final" in golden:
            golden.close("cover_radius_final", left.max(), rtol=rtol)
        if "gap" in golden:
            every = _replay(points.astype(np.float64), labelled, unlabelled, picks)
            golden.close("gap", gaps(every, golden["gap"]), rtol=rtol)


def _replay(points: np.ndarray, labelled: np.ndarray, unlabelled: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """(b, N) distance of every candidate to the nearest centre before each of these picks, NaN of what is none."""
    nearest = np.full(len(points), np.nan)
    nearest[unlabelled] = np.inf
    for centre in labelled:
        nearest = np.minimum(nearest, np.linalg.norm(points - points[centre], axis=1))
    rows = []
    for pick in picks:
        rows.append(nearest)
        nearest = np.minimum(nearest, np.linalg.norm(points - points[pick], axis=1))
        nearest[pick] = np.nan
    scores = np.array(rows).reshape(-1, len(points))
    if not len(labelled):
        scores[0, unlabelled[1:]] = np.nan  # the first is the first
    return scores


def _agrees(
    golden: Golden, points: np.ndarray, labelled: np.ndarray, unlabelled: np.ndarray, picks: np.ndarray
) -> None:
    """The file's picks are ours up to twins; or both are greedy, and differ by ties that rounding decides."""
    selected = golden["selected"]
    proper = len(set(selected)) == len(selected) == len(picks) and np.isin(selected, unlabelled).all()
    golden.satisfied("selected", proper, f"not {len(picks)} different unlabelled items")
    twin = golden.twins(len(points))
    if np.array_equal(twin[picks], twin[selected]):
        return
    exact = np.array_equal(points, points.round())  # whole numbers: distances tie, or do not, whoever computes them
    fair = not exact and all(greedy(x, _replay(points, labelled, unlabelled, x), twin) for x in (picks, selected))
    golden.satisfied("selected", fair, f"we picked {picks}")
    ordered = "canonical_id" in golden or lowest_first(selected, kinds(points), unlabelled)
    golden.satisfied("selected", ordered, "of equal rows the lowest come first")
