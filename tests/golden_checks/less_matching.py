"""less_matching: the released matching and selection on stored half-precision features of two files."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from alrun.numerics.matching import blocks, count, file_rows, subtask_influence
from alrun.numerics.trajectory import best_subtask, normalised

from . import check
from .formulas import compare, top_picks
from .golden_file import Golden


class Matching:
    """The files' features and what they are matched with."""

    def __init__(self, golden: Golden) -> None:
        self.golden = golden
        self.files = [torch.from_numpy(golden[key]) for key in sorted(golden.arrays) if key.startswith("train_feat_")]
        self.sizes = [file.shape[1] for file in self.files]

    @property
    def weights(self) -> Tensor:
        return torch.from_numpy(self.golden["ckpt_weights"]).double()

    def influence(self, n_subtasks: int | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
        """(n, s); with every target row a subtask of its own, on every target row."""
        target = torch.from_numpy(self.golden["val_feat"])
        group = blocks(target.shape[1], n_subtasks or target.shape[1])
        return subtask_influence(self.files, target, self.weights, group, dtype=dtype, block=8)

    def scores(self, dtype: torch.dtype = torch.float64) -> Tensor:
        return best_subtask(self.influence(self.golden.count("n_subtasks"), dtype))

    def count(self) -> int:
        return count(self.golden.number("percentage"), sum(self.sizes))


FORMULAS: dict[str, Callable[[Matching], Tensor]] = {
    "norm_weights": lambda m: normalised(m.weights),
    "influence": lambda m: m.influence(),
    "subtask_mean": lambda m: m.influence(m.golden.count("n_subtasks")),
    "score": lambda m: m.scores(),
    "score_official_f32": lambda m: m.scores(torch.float32),
    "k": lambda m: torch.tensor(m.count()),
}


@check("less_matching")
def less_matching(golden: Golden) -> None:
    ours = Matching(golden)
    compare(golden, FORMULAS, ours)
    if "exp_topk_global" in golden:
        listed = torch.from_numpy(golden["exp_topk_global"])
        assert len(listed) == ours.count()
        top_picks(golden, "exp_topk_global", ours.scores(), listed)
    if "exp_topk_file_index" in golden:
        pairs = torch.from_numpy(golden["exp_topk_file_index"])  # (k, 2)
        assert len(pairs) == ours.count()
        listed = torch.tensor([0, *np.cumsum(ours.sizes)[:-1]])[pairs[:, 0]] + pairs[:, 1]
        top_picks(golden, "exp_topk_file_index", ours.scores(), listed)
        golden.equal("exp_topk_file_index", file_rows(listed, ours.sizes))
