"""Texts through a frozen language model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.source import Source
from ..errors import UserError
from ..pretrained import Dtype, Pooling, digest, load, pool, positions
from .encoder import Encoder, Work
from .pair import combined, sides
from .transformer import finish, probe

PIECE = 4096  # texts tokenised at a time


def text(
    source: Source,
    folder: Path,
    *,
    pooling: Pooling,
    normalise: bool,
    max_length: int,
    precision: Dtype,
    batch: int,
    name: str,
) -> Encoder:
    """Texts cut at `max_length` tokens, their token vectors pooled, scaled to length 1 if `normalise`.

    Of a pair both texts, and how they differ.
    """
    if source.kind not in ("text", "pair"):
        what = "images" if source.kind == "image" else "columns"
        raise UserError(
            f"encoder {name!r} reads texts, and {source.name!r} has {what}",
            "encoder=none takes numbers and pixels as they are",
        )
    if max_length < 1 or batch < 1:
        raise UserError(f"encoder.max_length={max_length}, encoder.batch={batch}: both must be 1 or more")
    identity = {
        "method": name,
        "files": digest(folder),
        "pooling": str(pooling),
        "normalise": normalise,
        "max_length": max_length,
        "precision": str(precision),
        "batch": batch,
    }

    def start(device: str) -> Work:
        import torch

        tokenizer, network = load(folder, "AutoTokenizer", precision, device)
        paired = source.kind == "pair"
        limit = min(max_length, tokenizer.model_max_length, positions(network))
        marks = tokenizer.num_special_tokens_to_add()
        if limit <= marks:  # a tokenizer that has no room for them would cut nothing at all
            raise UserError(
                f"encoder.max_length={limit} has no room for a text beside its {marks} special tokens",
                f"encoder.max_length={marks + 1} or more",
            )
        parts: Any = sides(source.items) if paired else [source.items]  # one list of texts, or two
        ids = [tokens(tokenizer, texts, limit) for texts in parts]

        @torch.inference_mode()
        def vectors(ids: Sequence[np.ndarray]) -> np.ndarray:
            length = max(1, *(len(one) for one in ids))
            words = torch.full((len(ids), length), tokenizer.pad_token_id or 0)  # (b, s)
            mask = torch.zeros_like(words)  # (b, s) 1 where there is a token
            for place, one in enumerate(ids):
                words[place, : len(one)] = torch.from_numpy(one)
                mask[place, : len(one)] = 1
            mask = mask.to(device)
            return finish(pool(network(input_ids=words.to(device), attention_mask=mask), mask, pooling), normalise)

        def encode(rows: np.ndarray) -> np.ndarray:
            found = [vectors([side[row] for row in rows]) for side in ids]  # (b, F) each
            return combined(found) if paired else found[0]

        lengths = [max(len(one) for one in item) for item in zip(*ids, strict=True)]
        return Work(probe(encode, folder, network), by_length(lengths, batch), encode)

    return Encoder(identity, start)


def tokens(tokenizer: Any, texts: Sequence[str], limit: int) -> list[np.ndarray]:
    """Token numbers of every text, as small arrays."""
    found: list[np.ndarray] = []
    for first in range(0, len(texts), PIECE):
        lists = tokenizer(list(texts[first : first + PIECE]), truncation=True, max_length=limit)["input_ids"]
        found += [np.array(one, np.int32) for one in lists]
    return found


def by_length(lengths: Sequence[int], size: int) -> list[np.ndarray]:
    """Batches of similar length, long and short ones evenly mixed so that the time left can be told."""
    order = np.argsort(lengths, kind="stable")[::-1]
    batches = [order[first : first + size] for first in range(0, len(order), size)]
    mixed = np.argsort(np.arange(len(batches)) * 0.6180339887498949 % 1, kind="stable")  # golden ratio: no clusters
    return [batches[i] for i in mixed]
