"""TypiClust on given clusters."""

import numpy as np
import torch
from omegaconf import OmegaConf

from alrun.config import option_file
from alrun.numerics.distances import unit_rows
from alrun.numerics.typicality import typical_points, typicality

from . import check
from .golden_file import FLOAT32, Golden
from .ties import greedy, kinds, lowest_first

EXPECTED = ("selected_official", "typicality_official", "selected_paper", "typicality_paper", "cluster_of_pick")


@check("typiclust")
def typiclust(golden: Golden) -> None:
    features, clusters = golden["features"], torch.from_numpy(golden["cluster_labels"].astype(np.int64))
    labelled = torch.zeros(len(features), dtype=torch.bool)
    labelled[torch.from_numpy(golden.labelled(len(features)))] = True
    golden.for_information("selected_official_run", "gap")
    shipped = OmegaConf.load(option_file("strategy", "typiclust"))
    k = golden.count("k_nn") if "k_nn" in golden else shipped["neighbours"]
    min_size = golden.count("min_cluster_size") if "min_cluster_size" in golden else shipped["min_cluster_size"]
    listed = [len(golden[key]) for key in EXPECTED if key in golden]
    if not listed:
        return
    n = golden.count("batch_size") if "batch_size" in golden else listed[0]
    for dtype, rtol in ((np.float64, 1e-9), (np.float32, FLOAT32)):
        if not np.array_equal(features.astype(dtype), features):
            continue  # other points, whose ties and distances are others
        points = torch.from_numpy(features.astype(dtype))
        for kind, squared in (("official", True), ("paper", False)):
            found = typical_points(points, clusters, labelled, n, k=k, min_size=min_size, squared=squared)
            picks, values = np.array(found[0], dtype=np.int64), np.array(found[1])
            assert len(set(picks)) == n and not labelled[picks].any()
            if kind == "official" and "cluster_of_pick" in golden:
                golden.equal("cluster_of_pick", clusters[picks])
            key = f"selected_{kind}"
            if key in golden:
                _has_cluster_and_number(golden, key, clusters, picks)
            if key in golden and not np.array_equal(picks, golden[key]):
                theirs = _replay(points, clusters, labelled, golden[key], k, squared)
                ours = _replay(points, clusters, labelled, picks, k, squared)
                _differs_by_ties(golden, key, kinds(features, clusters), picks, ours, theirs, k)
                values = theirs[np.arange(n), golden[key]]  # what follows from a tie is measured along the file's picks
                values[np.isinf(values)] = np.nan
            if f"typicality_{kind}" in golden:
                golden.close(f"typicality_{kind}", values, rtol=rtol)


def _has_cluster_and_number(golden: Golden, key: str, clusters: torch.Tensor, picks: np.ndarray) -> None:
    """Different picks, each from the cluster whose turn it is."""
    selected = golden[key]
    golden.satisfied(key, len(set(selected)) == len(selected) == len(picks), f"not {len(picks)} different picks")
    golden.satisfied(key, torch.equal(clusters[picks], clusters[selected]), f"not from clusters {clusters[picks]}")


def _replay(
    points: torch.Tensor, clusters: torch.Tensor, labelled: torch.Tensor, picks: np.ndarray, k: int, squared: bool
) -> np.ndarray:
    """(b, N) typicality of the members that each pick's cluster had left, inf of a last one, NaN of all others."""
    free, scores = ~labelled, np.full((len(picks), len(points)), np.nan)
    for row, pick in zip(scores, picks, strict=True):
        members = (free & (clusters == clusters[pick])).nonzero().flatten()
        row[members] = typicality(unit_rows(points[members]), k, squared=squared) if len(members) > 1 else np.inf
        free[pick] = False
    return scores


def _differs_by_ties(
    golden: Golden,
    key: str,
    kind: np.ndarray,
    picks: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    k: int,
) -> None:
    """The file's picks are ours up to twins and to ties that rounding decides."""
    selected, twin = golden[key], golden.twins(len(kind))
    if np.array_equal(twin[picks], twin[selected]):
        return
    fair = greedy(picks, ours, twin) and greedy(selected, theirs, twin)
    golden.satisfied(key, fair, f"we picked {picks}")
    if "canonical_id" not in golden:
        ordered = lowest_first(selected, kind, np.setdiff1d(np.arange(len(kind)), golden.labelled(len(kind))))
        golden.satisfied(key, ordered, "of equal rows the lowest come first")
    for pick, row in zip(selected, theirs, strict=True):
        if min(k, int((~np.isnan(row)).sum()) // 2) == 1:  # nearest neighbours of each other
            golden.satisfied(key, twin[pick] == twin[np.flatnonzero(row == row[pick])[0]], f"{pick} is not the lowest")
