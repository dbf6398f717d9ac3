"""What frozen text and vision transformers share: a folder of safetensors weights, one vector per item."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError


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
    """File name -> sha256 of what decides the features: weights, shape of the network, words or scaling of pixels."""
    wanted = [p for p in folder.iterdir() if p.suffix == ".safetensors"]
    wanted += [folder / name for name in ("config.json", "tokenizer.json", "vocab.txt", "preprocessor_config.json")]
    found = {}
    for path in sorted(wanted):
        if path.is_file():
            about = path.stat()
            found[path.name] = _sha256(path, about.st_size, about.st_mtime_ns)
    if not any(name.endswith(".safetensors") for name in found):
        raise UserError(
            f"{str(folder)!r} has no weights in the safetensors format",
            "other formats can run code when they are read: convert the model, or choose another",
        )
    return found


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, mtime: int) -> str:
    """Of a file's content; once per process, for the cells of a sweep ask again and again."""
    whole = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            whole.update(chunk)
    return whole.hexdigest()


def load(folder: Path, reader: str, precision: Precision, device: str, **more: Any) -> tuple[Any, Any]:
    """The reader (tokenizer or image processor) and the network of a folder; no code that lies there runs."""
    import torch
    import transformers

    offline = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _quiet():
            front = getattr(transformers, reader).from_pretrained(folder, **offline, **more)
            network = transformers.AutoModel.from_pretrained(
                folder, use_safetensors=True, dtype=getattr(torch, precision), **offline
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise UserError(
            f"the model in {str(folder)!r} cannot be loaded: {str(error).strip().splitlines()[0]}",
            "it must be a transformers model with safetensors weights and no code of its own",
        ) from error
    return front, network.eval().to(device)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own progress bars, which would be drawn across ours."""
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()


def pool(out: Any, mask: Any, pooling: Pooling) -> Any:
    """(b, D) float32 from the network's token vectors; `mask` (b, s) marks the real ones, None for pictures."""
    if pooling is Pooling.pooler:
        pooled = getattr(out, "pooler_output", None)
        if pooled is None:
            raise UserError("this network has no pooler", "encoder.pooling=mean or first")
        return pooled.float().flatten(1)
    hidden = out.last_hidden_state.float()
    if hidden.ndim == 4:  # a convolutional network: (b, D, h, w)
        hidden = hidden.flatten(2).transpose(1, 2)  # (b, h*w, D)
    if pooling is Pooling.first:
        return hidden[:, 0]
    if mask is None:
        return hidden.mean(dim=1)
    weight = mask.unsqueeze(-1).float()  # (b, s, 1)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)


def finish(vectors: Any, normalise: bool) -> np.ndarray:
    """(b, D) float32 on the host, scaled to length 1 if `normalise`."""
    import torch

    if normalise:
        vectors = torch.nn.functional.normalize(vectors, dim=1)
    return vectors.cpu().numpy()


def probe(encode: Callable[[np.ndarray], np.ndarray], folder: Path) -> int:
    """How many values one item gets; UserError for networks that need more than the item."""
    try:
        return encode(np.array([0])).shape[1]
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"the model in {str(folder)!r} does not turn one item into vectors: {str(error).strip().splitlines()[0]}",
            "choose an encoder such as BERT, MiniLM, ViT or DINO",
        ) from error
