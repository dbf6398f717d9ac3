"""What fine-tuning takes, before anything is loaded."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from ..converted import language_model
from ..sound import readable
from .backbone import Train, folder_of
from .lite import located_weights
from .recipe import Precision

DEFAULT = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
PLACES = 197  # tokens of a picture of 224 pixels in patches of 16


def memory(kind: str, options: Mapping[str, Any]) -> int:
    """Bytes of the weights, of what training them needs beside them, and of what a step keeps on the way back.

    Everything trained is held six times: itself, as loaded, its gradient, two moments, the model before; and three
    times for each checkpoint. Adapters are too small to count.
    """
    folder = folder_of(options["path"], options["revision"], kind)
    weights, train = _weights(folder), options["train"]
    if train == Train.head:
        return weights
    kept = activations(folder, options["batch"], PLACES if kind == "image" else options["max_length"])
    if options["gradient_checkpointing"]:
        kept //= 4
    return (weights * (6 + 3 * options["checkpoints"]) if train == Train.full else weights) + kept


def language_memory(kind: str, options: Mapping[str, Any]) -> int:
    """The same of a causal language model, whose adapters alone are trained; half of each text is its completion.

    Logits are held three times: as they are, as log-probabilities and as gradients.
    """
    folder = language_model(options["path"], options["revision"])
    batch, tokens = options["batch"], options["max_length"]
    weights = _numbers(folder) * (2 if options["precision"] == Precision.bfloat16 else 4)
    kept = activations(folder, batch, tokens, branches=4)  # of a layer that multiplies two branches
    if options["gradient_checkpointing"]:
        kept //= 4
    return weights + kept + 3 * 4 * batch * (tokens // 2) * int(_about(folder).get("vocab_size") or 0)


def activations(folder: Path | None, batch: int, tokens: int, branches: int = 2) -> int:
    """Bytes that a training step keeps for its backward pass, about, if all texts have `tokens` tokens.

    MiniLM with LoRA, 16 texts: 294 MB for 64 tokens, where 336 MB were measured; 736 for 128, where 742 were.
    SmolLM2, 4 texts: 540 MB for 64 tokens, where 440 were measured; 1,220 for 128, where 1,150 were.
    """
    about = _about(folder)
    width, layers, heads, inner = (int(about.get(name) or value) for name, value in DEFAULT.items())
    return int(1.3 * 4 * batch * tokens * layers * (10 * width + branches * inner + 3 * heads * tokens))


def _about(folder: Path | None) -> Mapping[str, Any]:
    """What the network's config says of its size; that of its text side where it has several."""
    if folder is None:
        return {}
    with readable(folder):
        about = json.loads((folder / "config.json").read_text())
    return about.get("text_config") or about


def _numbers(folder: Path) -> int:
    """How many there are in the weights, from the heads of their files."""
    from safetensors import safe_open

    found = 0
    for path in folder.glob("*.safetensors"):
        with readable(folder), safe_open(path, "numpy") as file:
            found += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return found


def _weights(folder: Path | None) -> int:
    if folder is None:
        return located_weights().stat().st_size
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
