"""ActiveFT: the loss at every step, the directions, the picks."""

import numpy as np
import torch

from alrun.numerics.anchors import Anchors, nearest_untaken

from . import check
from .golden_file import Golden


@check("activeft")
def activeft(golden: Golden) -> None:
    points = torch.nn.functional.normalize(torch.from_numpy(golden["features"]), dim=1)
    twin = golden["canonical_id"] if "canonical_id" in golden else np.arange(len(points))
    balance = golden.number("balance") if "balance" in golden else 1.0
    options = {"temperature": golden.number("temperature"), "rate": golden.number("lr"), "balance": balance}
    for block in (17, 4096):
        start = points[torch.from_numpy(golden["init_ids"])]
        anchors = Anchors(points, start, points[:0], **options, block=block)
        losses = [anchors.step() for _ in range(golden.count("iters"))]
        directions = anchors.directions()
        picks = nearest_untaken(points, directions, few=2, block=block)[0].numpy()
        assert len(set(picks)) == len(start)
        if "loss" in golden:
            golden.close("loss", losses, rtol=1e-3)
        if "final_centroids" in golden:
            golden.close("final_centroids", directions, rtol=0, atol=5e-3)
        for key in ("selected_by_centroid", "selected_sorted"):
            if key in golden:
                same = np.array_equal(np.sort(twin[picks]), np.sort(twin[golden[key]]))
                golden.satisfied(key, same, f"we picked {picks}")
        if "selected_by_centroid" in golden and len(set(twin)) == len(twin):
            golden.equal("selected_by_centroid", picks)
