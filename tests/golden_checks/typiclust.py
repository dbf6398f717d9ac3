"""TypiClust on given clusters."""

import numpy as np
import torch

from alrun.numerics.typicality import typical_points

from . import check
from .golden_file import Golden


@check("typiclust")
def typiclust(golden: Golden) -> None:
    features, clusters = golden["features"], torch.from_numpy(golden["cluster_labels"].astype(np.int64))
    known = golden["labelled"].astype(np.int64) if "labelled" in golden else np.zeros(0, np.int64)
    labelled = torch.zeros(len(features), dtype=torch.bool)
    labelled[torch.from_numpy(known)] = True
    if "unlabelled" in golden:
        golden.equal("unlabelled", (~labelled).nonzero().flatten())
    golden.for_information("selected_official_run", "gap")
    twin = golden["canonical_id"] if "canonical_id" in golden else np.arange(len(features))
    n = golden.count("batch_size")
    options = {"k": golden.count("k_nn"), "min_size": golden.count("min_cluster_size")}
    for dtype in (torch.float64, torch.float32):
        points = torch.from_numpy(features).to(dtype)
        for kind, squared in (("official", True), ("paper", False)):
            picks, values = typical_points(points, clusters, labelled, n, squared=squared, **options)
            assert len(set(picks)) == n and not labelled[picks].any()
            if f"selected_{kind}" in golden:
                selected = golden[f"selected_{kind}"]
                golden.satisfied(f"selected_{kind}", (twin[picks] == twin[selected]).all(), f"we picked {picks}")
            if f"typicality_{kind}" in golden:
                golden.close(f"typicality_{kind}", values, rtol=1e-9 if dtype == torch.float64 else 1e-5)
            if kind == "official" and "cluster_of_pick" in golden:
                golden.equal("cluster_of_pick", clusters[picks])
