"""What a fine-tuned network is trained for, and what its last layer then says about the classes."""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..errors import UserError
from ..types import Head

Loss = StrEnum("Loss", ["cross_entropy", "squared"])
PRIOR = 10  # items whose residuals have variance 1 that the variance of predictions starts from


@dataclass(frozen=True)
class Objective:
    """Cross-entropy of C logits, or half the squared error of one number on the standardised levels of the classes."""

    values: Tensor | None = None  # (C,) standardised levels; None: cross-entropy
    unit: float = 1.0  # standard deviation of the levels

    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """(n,) loss of each item from the network's outputs (n, C) or (n, 1); what is trained is their mean.

        Labels are numbers (n,) of classes, or shares (n, C) of them, whose mean loss it then is.
        """
        if self.values is None:
            return cross_entropy(raw, labels, reduction="none")
        if labels.ndim == 2:  # shares of the classes
            return (labels.to(raw) * (raw[:, :1] - self.values).square()).sum(1) / 2
        return (raw[:, 0] - self.values[labels]).square() / 2

    def spread(self, raw: Tensor, labels: Tensor) -> float:
        """s^2, variance of the residuals in squared standard deviations of the levels.

        A network fits its few labels nearly exactly, so the sum starts from PRIOR residuals of variance 1, which is
        what the levels themselves have: 1 without labels, hardly above the mean square with hundreds.
        """
        assert self.values is not None
        residuals = (raw[:, 0] - self.values[labels]).square().sum()
        return float((PRIOR + residuals) / (PRIOR + len(labels)))

    def head(self, weight: Tensor, bias: Tensor, spread: float) -> Head:
        """The last layer as logits of the classes: -(v - mu)^2 / (2 s^2) up to what all classes share is linear."""
        if self.values is None:
            return Head(weight, bias)
        v = self.values[:, None] / spread  # (C, 1)
        return Head(v * weight, v[:, 0] * bias - self.values.square() / (2 * spread))


def objective(loss: Loss, levels: Tensor | None, device: torch.device) -> Objective:
    """The objective that `loss` names, for classes with these levels (C,)."""
    if loss is Loss.cross_entropy:
        return Objective()
    if levels is None:
        raise UserError(
            "model.loss=squared predicts numbers, and the labels of this dataset name classes",
            "dataset.task=ordinal if they are numbers, else model.loss=cross_entropy",
        )
    deviation = levels.double().std(correction=0)
    return Objective(((levels.double() - levels.double().mean()) / deviation).float().to(device), float(deviation))
