"""Coreset: picks, their distances, and what is left uncovered."""

import numpy as np
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.numerics.kcentre import nearest_distances

from . import check
from .golden_file import Golden


@check("coreset")
def coreset(golden: Golden) -> None:
    features = golden["features"]
    labelled = golden["labelled"].astype(np.int64) if "labelled" in golden else np.zeros(0, np.int64)
    unlabelled = np.setdiff1d(np.arange(len(features)), labelled)
    if "unlabelled" in golden:
        golden.equal("unlabelled", unlabelled)
    twin = golden["canonical_id"] if "canonical_id" in golden else np.arange(len(features))
    golden.for_information("selected_official", "gap")
    for dtype in (np.float64, np.float32):
        exact = dtype is np.float64
        rtol = 1e-9 if exact else 1e-5
        signals = ArraySignals(embeddings=features.astype(dtype))
        choose = registry.build("strategy", {"name": "coreset", "space": "embeddings"})
        ours = choose(view(signals, len(features), labelled), golden.count("batch_size"))
        picks = ours.indices.numpy()
        assert len(set(picks)) == golden.count("batch_size") and np.isin(picks, unlabelled).all()
        if "pick_distance" in golden:
            golden.close("pick_distance", ours.scores, rtol=rtol)
        if "selected" in golden:
            selected = golden["selected"]
            golden.satisfied("selected", (twin[picks] == twin[selected]).all(), f"we picked {picks}")
        points = torch.from_numpy(features.astype(dtype))
        centres = torch.from_numpy(np.concatenate([labelled, picks]))
        left = nearest_distances(points, points[centres])
        if "min_distance_final" in golden:
            golden.close("min_distance_final", left[unlabelled], rtol=rtol)
        if "cover_radius_final" in golden:
            golden.close("cover_radius_final", left[unlabelled].max(), rtol=rtol)
