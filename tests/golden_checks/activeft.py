"""ActiveFT: the loss at every step, the directions, the picks."""

import numpy as np
import torch
from omegaconf import OmegaConf

from alrun.config import option_file
from alrun.numerics.anchors import Anchors, nearest_untaken

from . import check
from .golden_file import Golden
from .ties import kinds

OPTIONS = {"temperature": "temperature", "lr": "rate", "iters": "steps", "balance": "balance"}


@check("activeft")
def activeft(golden: Golden) -> None:
    points = torch.nn.functional.normalize(torch.from_numpy(golden["features"]), dim=1)
    twin = golden["canonical_id"] if "canonical_id" in golden else kinds(golden["features"])
    shipped = OmegaConf.load(option_file("strategy", "activeft"))
    options = {ours: golden.number(key) if key in golden else shipped[ours] for key, ours in OPTIONS.items()}
    steps = int(options.pop("steps"))
    for block in (17, 4096):
        start = points[torch.from_numpy(golden["init_ids"])]
        anchors = Anchors(points, start, points[:0], **options, block=block)
        losses = [anchors.step() for _ in range(steps)]
        directions = anchors.directions()
        picks = nearest_untaken(points, directions, few=2, block=block)[0].numpy()
        assert len(set(picks)) == len(start)
        if "loss" in golden:
            golden.close("loss", losses, rtol=1e-3)
        if "final_centroids" in golden:
            golden.close("final_centroids", directions, rtol=0, atol=5e-3)
        for key in ("selected_by_centroid", "selected_sorted"):
            if key in golden:
                _agrees(golden, key, picks, twin)


def _agrees(golden: Golden, key: str, picks: np.ndarray, twin: np.ndarray) -> None:
    """The picks are different ones and the file's, those of each centroid at least where no row has a twin."""
    selected = golden[key]
    golden.satisfied(key, len(set(selected)) == len(selected), "a pick comes twice")
    same = np.array_equal(np.sort(twin[picks]), np.sort(twin[selected]))
    golden.satisfied(key, same, f"we picked {picks}")
    if key == "selected_sorted":
        golden.satisfied(key, (np.diff(selected) > 0).all(), "not sorted")
    elif len(set(twin)) == len(twin):
        golden.equal(key, picks)
