"""What the language models of a run share: network, reader and items; and how one is run on rows of tokens."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import RunFailed
from ..numerics.completion import IGNORED, completion_loss
from ..types import Part
from .speech import Reader, Row, collated, labels

Scoring = StrEnum("Scoring", ["sum", "mean"])


@dataclass(frozen=True)
class Voice:
    """What the trained models of a run share: the network, its reader and the items."""

    module: nn.Module
    files: list[str]  # sha256 of what was loaded
    adapters: Any  # the peft config that put them in
    reader: Reader
    items: Mapping[Part, Sequence[Any]]
    n_classes: int
    scoring: Scoring
    batch: int  # items at a time
    device: torch.device
    report: Callable[[str, int, int], None]
    rows: dict = field(default_factory=dict)  # (part, item, label or None for all options) -> Row

    def row(self, part: Part, item: int, label: int | None) -> Row:
        """An item with one completion, or with all its options; tokenised once."""
        exchange = self.items[part][item]
        known = len(exchange.options) == 1
        key = part, item, 0 if known else label
        if key not in self.rows:
            chosen = exchange.options if label is None else (exchange.completion(label),)
            self.rows[key] = self.reader.row(exchange, chosen)
        return self.rows[key]

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return self.module.get_input_embeddings().weight.dtype  # type: ignore[operator]

    def forward(self, parameters: Mapping[str, Tensor] | None, inputs: Mapping[str, Tensor], keep: int) -> Tensor:
        """(b, K, V) logits at the last `keep` places, under these parameters or the module's own."""
        given = dict(inputs) | {"logits_to_keep": keep, "use_cache": False}
        if parameters is None:
            return self.module(**given).logits
        return functional_call(self.module, dict(parameters), (), given).logits

    def demand(self, files: Sequence[str]) -> None:
        """Raise RunFailed unless the network was loaded from these files."""
        if files != self.files:
            raise RunFailed("its weights of the language model differ from those of the main process")


def training_loss(voice: Voice, rows: Sequence[Row]) -> Tensor:
    """Mean over items of their mean token losses, under the module's own parameters."""
    said = voice.forward(None, collated(rows, voice.dtype, voice.device), max(len(row.token) for row in rows))
    wanted = labels(rows, voice.device)  # (b, K)
    ahead = torch.full_like(wanted[:, :1], IGNORED)
    return completion_loss(said, torch.cat([ahead, wanted], dim=1)).batch_example_mean


@contextmanager
def listening(module: Any) -> Iterator[list[Tensor]]:
    """The last thing that the last layer was given, (b, K, D)."""
    heard: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...], __: Tensor) -> None:
        heard[:] = [given[0]]

    handle = module.get_output_embeddings().register_forward_hook(keep)
    try:
        yield heard
    finally:
        handle.remove()
