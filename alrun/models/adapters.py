"""LoRA adapters (Hu et al. 2022): which layers get them, and how they are put in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..errors import UserError
from .limits import above_zero, at_least, finite

# How networks call the projections of queries and values; then those that keep both in one.
ATTENTION = (("query", "value"), ("q_proj", "v_proj"), ("q_lin", "v_lin"), ("query_proj", "value_proj"), ("q", "v"))
FUSED = ("Wqkv", "qkv", "query_key_value", "in_proj", "qkv_proj")


@dataclass(frozen=True)
class Lora:
    """Which adapters a network gets."""

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]  # endings of layers' names

    def __post_init__(self) -> None:
        at_least(1, rank=self.rank)
        above_zero(alpha=self.alpha)
        finite(alpha=self.alpha)
        if not 0 <= self.dropout < 1:
            raise UserError(f"model.dropout={self.dropout} is not a share below 1", "model.dropout=0 for none")
        if not all(self.targets) or not self.targets:
            raise UserError(
                f"model.targets=[{', '.join(self.targets)}] names no layer",
                "model.targets=[auto], or endings of layers' names",
            )


def adapted(network: nn.Module, lora: Lora, base: str, revision: str | None, task: str | None = None) -> Any:
    """Put adapters into the network; their output starts at zero. The peft config of them.

    It says what they were trained on and for: `base` and `revision` as `from_pretrained` takes them, peft's `task`.
    """
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=chosen(network, lora.targets),
        base_model_name_or_path=base,
        revision=revision,
        task_type=task,
    )
    inject_adapter_in_model(config, network)
    return config


def chosen(network: nn.Module, targets: Sequence[str]) -> list[str]:
    """Full names of the layers that get adapters: those whose name ends in one of `targets`.

    `auto`: the projections of queries and values; without attention, the convolutions that mix channels alone; else
    every layer.
    """
    layers = {name: m for name, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}

    def ending(words: Sequence[str]) -> list[str]:
        return [name for name in layers if any(re.search(rf"(^|\.){re.escape(word)}$", name) for word in words)]

    if list(targets) != ["auto"]:
        found = ending(targets)
        if not found:
            some = sorted({re.split(r"\.", name)[-1] for name in layers})
            raise UserError(f"no layer's name ends in {', '.join(targets)}", f"they end in {', '.join(some)}")
        return found
    for words in (*ATTENTION, FUSED):
        if found := ending(words):
            return found
    pointwise = [n for n, m in layers.items() if isinstance(m, nn.Conv2d) and m.groups == 1 and m.kernel_size == (1, 1)]
    return pointwise or [n for n, m in layers.items() if not isinstance(m, nn.Conv2d) or m.groups == 1]
