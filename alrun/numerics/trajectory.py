"""Influence summed over the checkpoints of a training run (TracIn, Pruthi et al. 2020, eq. 5; LESS, Xia et al. 2024).

Inf(z, t) = sum_c w_c <z_c, t_c>, with z a training example's gradient or Adam direction and t a target's gradient, is
one product of matrices a checkpoint. Cosines are products of unit rows, so what differs between the definitions is
which rows are handed over:

- TracIn: plain gradients, w = learning rates;
- LESS: unit Adam directions and unit target gradients, w = learning rates summing to one (its sec. 3.2);
- several examples a subtask: LESS's paper takes the cosine with their mean gradient (`paper_targets`), its released
  code the mean of the cosines, which is the product with the mean of the unit gradients (`official_targets`).

High scores lower the target's loss. Checkpoints are read one at a time: hand over generators, not lists.
"""

from collections.abc import Iterable

from torch import Tensor

from .influence import cosine


def normalised(weights: Tensor) -> Tensor:
    """Weights that sum to one, (c,)."""
    return weights / weights.sum()


def unit(gradients: Tensor) -> Tensor:
    """Rows at length one, (n, P); a row without length has no direction and becomes zero."""
    return cosine(gradients, gradients.norm(dim=1, keepdim=True))


def trajectory_influence(train: Iterable[Tensor], targets: Iterable[Tensor], weights: Tensor) -> Tensor:
    """sum_c w_c <z, t>, (n, s), for rows (n, P) and (s, P) of every checkpoint."""
    parts = zip(weights.tolist(), train, targets, strict=True)
    first, *others = (weight * (z @ t.T) for weight, z, t in parts)  # (n, s) each
    return sum(others, first)


def group_means(rows: Tensor, group: Tensor) -> Tensor:
    """Mean of the rows (v, P) of every group, (s, P), groups in ascending order of their number."""
    numbers, place = group.unique(return_inverse=True)
    total = rows.new_zeros(len(numbers), rows.shape[1]).index_add_(0, place, rows)
    return total / place.bincount()[:, None]


def official_targets(gradients: Tensor, subtask: Tensor) -> Tensor:
    """(s, P) whose product with a unit row is the mean of the cosines with a subtask's examples (released code)."""
    return group_means(unit(gradients), subtask)


def paper_targets(gradients: Tensor, subtask: Tensor) -> Tensor:
    """(s, P) whose product with a unit row is the cosine with the mean gradient of a subtask (paper)."""
    return unit(group_means(gradients, subtask))


def best_subtask(influence: Tensor) -> Tensor:
    """Score of each example: its influence on the subtask that it helps most, (n,) (LESS, sec. 3.2)."""
    return influence.amax(1)
