"""Items as a network reads them: token numbers or pixels, in batches of items of about one length."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..pictures import coloured
from ..pretrained import positions
from ..types import Part
from .backbone import Backbone, additive

PIECE = 4096  # texts tokenised at a time


class Inputs(Protocol):
    """The items of every part."""

    def lengths(self, part: Part) -> np.ndarray:
        """(n,) what an item's cost grows with."""

    def batch(self, part: Part, rows: np.ndarray) -> dict[str, Tensor]:
        """What the network reads of these rows, first axis b, on its device."""


class Texts:
    """Texts or pairs of texts as token numbers, each part tokenised once, when it is first asked for."""

    def __init__(
        self, backbone: Backbone, items: Mapping[Part, Sequence[Any]], max_length: int, device: torch.device
    ) -> None:
        self.tokenizer, self.items, self.device = backbone.reader, items, device
        self.limit = min(max_length, self.tokenizer.model_max_length, positions(backbone.module.base))
        self.wide = backbone.wide_masks
        self._known: dict[Part, list[tuple[np.ndarray, np.ndarray | None]]] = {}
        pair = any(len(some) and not isinstance(some[0], str) for some in items.values())
        marks = self.tokenizer.num_special_tokens_to_add(pair=pair)
        if self.limit <= marks:  # a tokenizer that has no room for them would cut nothing at all
            what = "two texts" if pair else "a text"
            raise UserError(
                f"model.max_length={self.limit} has no room for {what} beside its {marks} special tokens",
                f"model.max_length={marks + 1} or more",
            )

    def _tokens(self, part: Part) -> list[tuple[np.ndarray, np.ndarray | None]]:
        if part not in self._known:
            found: list[tuple[np.ndarray, np.ndarray | None]] = []
            items = self.items[part]
            for first in range(0, len(items), PIECE):
                piece = [items[row] for row in range(first, min(first + PIECE, len(items)))]
                sides = [piece] if isinstance(piece[0], str) else [list(side) for side in zip(*piece, strict=True)]
                told = self.tokenizer(*sides, truncation=True, max_length=self.limit)
                kinds = told.get("token_type_ids") if len(sides) == 2 else None
                found += [
                    (np.array(one, np.int32), None if kinds is None else np.array(kinds[at], np.int32))
                    for at, one in enumerate(told["input_ids"])
                ]
            self._known[part] = found
        return self._known[part]

    def lengths(self, part: Part) -> np.ndarray:
        """(n,) tokens."""
        return np.array([len(ids) for ids, _ in self._tokens(part)], np.int64)

    def batch(self, part: Part, rows: np.ndarray) -> dict[str, Tensor]:
        """Padded token numbers (b, s), the mask, and of pairs which text a token belongs to."""
        chosen = [self._tokens(part)[row] for row in rows]
        shape = len(rows), max(1, *(len(ids) for ids, _ in chosen))
        words = torch.full(shape, self.tokenizer.pad_token_id or 0)  # (b, s)
        mask, kinds = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)  # (b, s) each
        for place, (ids, kind) in enumerate(chosen):
            words[place, : len(ids)] = torch.from_numpy(ids)
            mask[place, : len(ids)] = 1
            if kind is not None:
                kinds[place, : len(ids)] = torch.from_numpy(kind)
        inputs = {"input_ids": words, "attention_mask": additive(mask) if self.wide else mask}
        if chosen[0][1] is not None:
            inputs["token_type_ids"] = kinds
        return {name: value.to(self.device) for name, value in inputs.items()}


class Pictures:
    """Pictures scaled as the network's own processor says, whenever they are asked for."""

    def __init__(self, backbone: Backbone, items: Mapping[Part, Sequence[Any]], device: torch.device) -> None:
        self.read, self.items, self.device = backbone.reader, items, device

    def lengths(self, part: Part) -> np.ndarray:
        """All alike."""
        return np.ones(len(self.items[part]), np.int64)

    def batch(self, part: Part, rows: np.ndarray) -> dict[str, Tensor]:
        """Pixels (b, 3, h, w)."""
        return {"pixel_values": self.read([coloured(self.items[part][row]) for row in rows]).to(self.device)}


def by_length(lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """Positions 0..n-1 in batches, the longest first: what does not fit into memory shows at once."""
    order = np.argsort(-lengths, kind="stable")
    return [order[first : first + size] for first in range(0, len(order), size)]


def shuffled(lengths: np.ndarray, size: int, generator: torch.Generator) -> list[np.ndarray]:
    """An epoch: positions 0..n-1 in random batches, of about one length where there are many."""
    order = torch.randperm(len(lengths), generator=generator).numpy()
    batches = []
    for first in range(0, len(order), 16 * size):  # sorted in pieces: batches stay random, padding is little
        piece = order[first : first + 16 * size]
        if len(order) > 16 * size:
            piece = piece[np.argsort(lengths[piece], kind="stable")]
        batches += [piece[at : at + size] for at in range(0, len(piece), size)]
    return [batches[at] for at in torch.randperm(len(batches), generator=generator).tolist()]
