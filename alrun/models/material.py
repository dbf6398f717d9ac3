"""What a model may learn from: the items of each part of a dataset and their features, without a single label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..types import Part

NEVER = -1e4  # logit of an option that an item does not have


@dataclass(frozen=True)
class Material:
    """The pool, the target and the test split: features on the device where models live, and the items themselves."""

    features: Mapping[Part, Tensor]  # part -> (n, F) float32
    n_classes: int
    device: torch.device
    items: Mapping[Part, Sequence[Any]] = field(default_factory=dict)  # part -> n texts, pictures or rows of numbers
    kind: str = "table"  # of the items, as data/source.py names it
    levels: Tensor | None = None  # (C,) float64 ascending, what the classes of an ordinal task stand for
    begin: Callable[[], None] = lambda: None  # a model calls it when its options are checked and its work begins
    report: Callable[[str, int, int], None] = lambda what, done, total: None  # told how far long work has come

    @cached_property
    def answered(self) -> bool:
        """Whether every pool item comes with its completion, so that there is nothing to ask an oracle."""
        return self.kind == "instruction" and all(len(item.options) == 1 for item in self.items["pool"])

    def rows(self, part: Part, idx: Tensor) -> Tensor:
        """(n, F) features of the items `idx` of a part, as the encoder gave them."""
        return self.features[part][idx.to(self.features[part].device)]


def resolve_device(name: str) -> torch.device:
    """`auto` is the first GPU there is, else the CPU; anything else is a name that torch knows and this machine has."""
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        # float64 decides ties in several places, and Apple's GPUs do not have it
        return torch.device("cpu") if accelerator is None or accelerator.type == "mps" else accelerator
    try:
        device = torch.device(name)
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise UserError(f"device={name} cannot be used here", "device=auto, device=cpu") from error
    return device


def unit(features: Tensor) -> Tensor:
    """Rows scaled to length 1; a row of zeros stays one."""
    return torch.nn.functional.normalize(features, dim=-1)  # (n, F)


def pool_mean(material: Material, block: int = 16384) -> Tensor:
    """(F,) mean of the pool's unit features, labelled or not: it needs no label, so centring on it is free."""
    pool = material.features["pool"]
    total = torch.zeros(pool.shape[1], dtype=torch.float64, device=pool.device)  # (F,)
    for rows in pool.split(block):
        total += unit(rows).sum(dim=0, dtype=torch.float64)
    return (total / max(1, len(pool))).float()
