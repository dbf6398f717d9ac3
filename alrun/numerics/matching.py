"""LESS's last step: from stored gradient features to a list of training examples (Xia et al. 2024, sec. 3.3).

Follows the released `matching` and `write_selected_data`: checkpoint weights summing to one, rows at length one,
target rows in equal consecutive blocks (one a subtask), the mean in a block and the maximum over blocks, the best
int(share * total) rows of all files together. The mean over a block is taken before the product, not after: the same
number, and never a training rows x target rows table.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .trajectory import normalised, official_targets, trajectory_influence, unit


def blocks(rows: int, n_subtasks: int) -> Tensor:
    """Subtask of every target row, (rows,): equal consecutive blocks."""
    if n_subtasks < 1 or rows % n_subtasks:
        raise ValueError(f"{rows} target rows do not divide into {n_subtasks} subtasks of equal size")
    return torch.arange(rows) // (rows // n_subtasks)


def subtask_influence(
    files: Sequence[Tensor], target: Tensor, weights: Tensor, subtask: Tensor, *, dtype: torch.dtype, block: int
) -> Tensor:
    """Influence of the rows of all files, one after the other, on every subtask, (n, s), in `dtype`.

    Each file is (c, rows, d), the target (c, v, d), first axis the checkpoint; stored in half precision they are cast
    up `block` rows at a time.
    """
    shares = normalised(weights.to(dtype))  # (c,)
    goals = [official_targets(rows.to(dtype), subtask) for rows in target]  # (s, d) each
    parts = []
    for file in files:
        for start in range(0, file.shape[1], block):
            rows = (unit(checkpoint[start : start + block].to(dtype)) for checkpoint in file)  # (block, d) each
            parts.append(trajectory_influence(rows, goals, shares))
    return torch.cat(parts)


def count(share: float, total: int) -> int:
    """How many rows a share of them is, rounded down."""
    return int(share * total)


def file_rows(picks: Tensor, sizes: Sequence[int]) -> Tensor:
    """(k, 2) file and row in it of positions that count through all files."""
    ends = torch.tensor(sizes, device=picks.device).cumsum(0)  # (files,)
    file = torch.searchsorted(ends, picks, right=True)
    starts = ends - torch.tensor(sizes, device=picks.device)
    return torch.stack([file, picks - starts[file]], dim=1)
