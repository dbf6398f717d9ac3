"""DropQuery: contradictions, threshold, candidates."""

import torch
from omegaconf import OmegaConf

from alrun.config import option_file
from alrun.numerics.dropout import unstable

from . import check
from .golden_file import Golden


@check("dropquery")
def dropquery(golden: Golden) -> None:
    predicted = torch.from_numpy(golden["dropout_predictions"])
    golden.for_information("n_iter")
    golden.given("n_iter", len(predicted))
    if "y_star" not in golden:
        return
    per_pick = OmegaConf.load(option_file("strategy", "dropquery"))["per_pick"]
    batch = golden.count("batch_size") if "batch_size" in golden else 0
    contradictions, threshold, candidates = unstable(torch.from_numpy(golden["y_star"]), predicted, per_pick * batch)
    if "mismatches" in golden:
        golden.equal("mismatches", contradictions)
    if "batch_size" not in golden and "threshold_used" in golden:  # what follows from it
        threshold = golden.count("threshold_used")
        candidates = (contradictions > threshold).nonzero().flatten()
    elif "threshold_used" in golden:
        golden.equal("threshold_used", threshold)
    if "candidates" in golden:
        golden.equal("candidates", candidates)
