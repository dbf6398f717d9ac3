"""DropQuery: contradictions, threshold, candidates."""

import torch
from omegaconf import OmegaConf

from alrun.config import option_file
from alrun.numerics.dropout import unstable

from . import check
from .golden_file import Golden


@check("dropquery")
def dropquery(golden: Golden) -> None:
    predicted, without = (torch.from_numpy(golden[key]) for key in ("dropout_predictions", "y_star"))
    per_pick = OmegaConf.load(option_file("strategy", "dropquery"))["per_pick"]
    wanted = per_pick * golden.count("batch_size")
    if "n_iter" in golden:
        golden.equal("n_iter", len(predicted))
    contradictions, threshold, candidates = unstable(without, predicted, wanted)
    for key, ours in (("mismatches", contradictions), ("threshold_used", threshold), ("candidates", candidates)):
        if key in golden:
            golden.equal(key, ours)
