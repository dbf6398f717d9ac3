"""Texts through a frozen language model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.source import Source
from ..errors import UserError
from .encoder import Encoder, Work
from .transformer import Pooling, Precision, digest, finish, load, pool, probe

PIECE = 4096  # texts tokenised at a time


def text(
    source: Source,
    folder: Path,
    *,
    pooling: Pooling,
    normalise: bool,
    max_length: int,
    precision: Precision,
    batch: int,
    name: str,
) -> Encoder:
    """Texts cut at `max_length` tokens, their token vectors pooled, scaled to length 1 if `normalise`."""
    if source.kind != "text":
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
        texts = source.items
        assert isinstance(texts, list)
        limit = min(max_length, tokenizer.model_max_length, _positions(network))
        ids = tokens(tokenizer, texts, limit)

        @torch.inference_mode()
        def encode(rows: np.ndarray) -> np.ndarray:
            length = max(1, *(len(ids[row]) for row in rows))
            words = torch.full((len(rows), length), tokenizer.pad_token_id or 0)  # (b, s)
            mask = torch.zeros_like(words)  # (b, s) 1 where there is a token
            for place, row in enumerate(rows):
                words[place, : len(ids[row])] = torch.from_numpy(ids[row])
                mask[place, : len(ids[row])] = 1
            mask = mask.to(device)
            return finish(pool(network(input_ids=words.to(device), attention_mask=mask), mask, pooling), normalise)

        return Work(probe(encode, folder), by_length([len(one) for one in ids], batch), encode)

    return Encoder(identity, start)


def _positions(network: Any) -> int:
    """How many tokens a network with learned positions can take."""
    limit = getattr(network.config, "max_position_embeddings", None)
    return int(limit) - 2 if limit and limit > 2 else 1 << 30  # RoBERTa's count starts at 2


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
