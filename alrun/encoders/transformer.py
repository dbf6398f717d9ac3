"""Frozen transformers: a folder of weights, texts or pictures in, pooled vectors out. Used by `minilm` and `hub`."""

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..data.source import Source
from ..errors import UserError
from .encoder import Encoder, Work


class Pooling(StrEnum):
    """How token vectors become one."""

    mean = "mean"  # of all tokens that are not padding
    first = "first"  # [CLS]
    pooler = "pooler"  # the network's own pooled output


class Precision(StrEnum):
    """What the network computes in; features are float32 always."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def digest(folder: Path) -> dict[str, str]:
    """File name -> sha256 of what decides the features: weights, shape, words."""
    wanted = [p for p in folder.iterdir() if p.suffix == ".safetensors"]
    wanted += [folder / name for name in ("config.json", "tokenizer.json", "preprocessor_config.json")]
    found = {}
    for path in sorted(wanted):
        if path.is_file():
            with path.open("rb") as file:
                whole = sha256()
                while chunk := file.read(1 << 22):
                    whole.update(chunk)
            found[path.name] = whole.hexdigest()
    if not any(name.endswith(".safetensors") for name in found):
        raise UserError(
            f"{str(folder)!r} has no weights in the safetensors format",
            "other formats can run code when they are read: convert the model, or choose another",
        )
    return found


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
    """Texts through a language model: truncated to `max_length` tokens, pooled, scaled to length 1 if `normalise`."""
    if source.kind != "text":
        raise UserError(
            f"encoder {name!r} reads texts, and {source.name!r} has {'images' if source.kind == 'image' else 'columns'}",
            "encoder=none takes numbers and pixels as they are",
        )
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

        tokenizer, network = _load(folder, "AutoTokenizer", precision, device)
        texts = source.items
        assert isinstance(texts, list)
        ids = _tokens(tokenizer, texts, max_length)

        @torch.inference_mode()
        def encode(rows: np.ndarray) -> np.ndarray:
            length = max(1, *(len(ids[row]) for row in rows))
            tokens = torch.full((len(rows), length), tokenizer.pad_token_id or 0)  # (b, s)
            mask = torch.zeros(len(rows), length, dtype=torch.long)  # (b, s)
            for place, row in enumerate(rows):
                tokens[place, : len(ids[row])] = torch.from_numpy(ids[row])
                mask[place, : len(ids[row])] = 1
            mask = mask.to(device)
            out = network(input_ids=tokens.to(device), attention_mask=mask)
            return _finish(_pool(out, mask, pooling), normalise)

        width = encode(np.array([0])).shape[1]
        return Work(width, by_length([len(one) for one in ids], batch), encode)

    return Encoder(identity, start)


def _load(folder: Path, reader: str, precision: Precision, device: str) -> tuple[Any, Any]:
    """The reader (tokenizer or image processor) and the network of a folder; no code of the folder runs."""
    import torch
    import transformers

    offline = {"local_files_only": True, "trust_remote_code": False}
    try:
        front = getattr(transformers, reader).from_pretrained(folder, **offline)
        network = transformers.AutoModel.from_pretrained(
            folder, use_safetensors=True, dtype=getattr(torch, precision), **offline
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise UserError(
            f"the model in {str(folder)!r} cannot be loaded: {str(error).strip().splitlines()[0]}",
            "it must be a transformers model with safetensors weights and no code of its own",
        ) from error
    return front, network.eval().to(device)


def _tokens(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[np.ndarray]:
    """Token numbers of every text, as small arrays."""
    limit = min(max_length, tokenizer.model_max_length)
    found: list[np.ndarray] = []
    for first in range(0, len(texts), 4096):
        lists = tokenizer(list(texts[first : first + 4096]), truncation=True, max_length=limit)["input_ids"]
        found += [np.array(one, np.int64 if len(one) == 0 else np.int32) for one in lists]
    return found


def by_length(lengths: Sequence[int], size: int) -> list[np.ndarray]:
    """Batches of similar length, long and short ones evenly mixed so that the time left can be told."""
    order = np.argsort(lengths, kind="stable")[::-1]
    batches = [order[first : first + size] for first in range(0, len(order), size)]
    mixed = np.argsort(np.arange(len(batches)) * 0.6180339887498949 % 1, kind="stable")  # golden ratio: no clusters
    return [batches[i] for i in mixed]


def _pool(out: Any, mask: Any, pooling: Pooling) -> Any:
    """(b, D) float32 from the network's token vectors; `mask` (b, s) marks the real ones, None for pictures."""
    if pooling is Pooling.pooler:
        pooled = getattr(out, "pooler_output", None)
        if pooled is None:
            raise UserError("this network has no pooler", "encoder.pooling=mean or first")
        return pooled.float().flatten(1)
    hidden = out.last_hidden_state.float()
    if hidden.ndim == 4:  # a convolutional network: (b, D, h, w)
        hidden = hidden.flatten(2).transpose(1, 2)
    if pooling is Pooling.first:
        return hidden[:, 0]
    if mask is None:
        return hidden.mean(dim=1)
    weight = mask.unsqueeze(-1).float()  # (b, s, 1)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)


def _finish(vectors: Any, normalise: bool) -> np.ndarray:
    import torch

    if normalise:
        vectors = torch.nn.functional.normalize(vectors, dim=1)
    return vectors.cpu().numpy()
