"""How fine-tuning goes, as its options say: fixed before it starts, and refused where it makes no sense."""

import math
from dataclasses import dataclass
from enum import StrEnum

import torch

from ..errors import UserError
from .limits import above_zero, at_least, finite, share

Precision = StrEnum("Precision", ["auto", "float32", "bfloat16"])


def in_half(precision: Precision, device: torch.device) -> bool:
    """Whether the network computes in bfloat16: `auto` does on a GPU that has it, not on one that only imitates it."""
    if precision is Precision.auto:
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision is Precision.bfloat16


@dataclass(frozen=True)
class Recipe:
    """How training goes, whatever is trained."""

    learning_rate: float
    head_learning_rate: float
    weight_decay: float
    warmup: float  # share of the steps
    epochs: int
    min_steps: int
    max_steps: int
    batch: int
    clip: float  # longest gradient
    checkpoints: int

    def __post_init__(self) -> None:
        at_least(1, batch=self.batch, epochs=self.epochs, min_steps=self.min_steps, checkpoints=self.checkpoints)
        pace = {"learning_rate": self.learning_rate, "head_learning_rate": self.head_learning_rate}
        at_least(0, **pace, weight_decay=self.weight_decay)
        finite(**pace, weight_decay=self.weight_decay)
        above_zero(clip=self.clip)  # it may be infinite
        share(warmup=self.warmup)
        if self.min_steps > self.max_steps:
            raise UserError(
                f"model.min_steps={self.min_steps} and model.max_steps={self.max_steps} leave no training",
                "1 <= min_steps <= max_steps",
            )
        if self.checkpoints > self.min_steps:
            raise UserError(
                f"model.checkpoints={self.checkpoints} are more than the model.min_steps={self.min_steps} there may be",
                f"model.checkpoints={self.min_steps} or fewer",
            )

    def steps(self, labels: int) -> int:
        """Updates for this many labels: the epochs, within the bounds."""
        if labels == 0:
            return 0
        return max(self.min_steps, min(self.max_steps, self.epochs * math.ceil(labels / self.batch)))

    def rate(self, step: int, steps: int) -> float:
        """What the learning rates are multiplied by in step 0..steps-1: up to 1, then down, both in a straight line."""
        warm = math.ceil(self.warmup * steps)
        return (step + 1) / (warm + 1) if step < warm else (steps - step) / (steps - warm)
