"""What fine-tuning takes, before anything is loaded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .backbone import Train, folder_of
from .lite import located_weights

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


def activations(folder: Path | None, batch: int, tokens: int) -> int:
    """Bytes that a training step keeps for its backward pass, about, if all texts have `tokens` tokens.

    MiniLM with LoRA, 16 texts: 294 MB for 64 tokens, where 336 MB were measured; 736 for 128, where 742 were.
    """
    about = json.loads((folder / "config.json").read_text()) if folder else {}
    width, layers, heads, inner = (int(about.get(name) or value) for name, value in DEFAULT.items())
    return int(1.3 * 4 * batch * tokens * layers * (10 * width + 2 * inner + 3 * heads * tokens))


def _weights(folder: Path | None) -> int:
    if folder is None:
        return located_weights().stat().st_size
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
