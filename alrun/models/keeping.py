"""A trained network as files: adapters as peft reads them, everything else as tensors by name. No pickles."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor


def adapter_files(parameters: Mapping[str, Tensor], config: Any) -> dict[str, bytes]:
    """LoRA weights, named as the layers of the network they were put into, with the peft config that put them there.

    `peft.PeftModel.from_pretrained(network, folder)` gives the adapted network back, of the base that the config names.
    """
    about = {name: sorted(value) if isinstance(value, set) else value for name, value in config.to_dict().items()}
    about["inference_mode"] = True
    named = {f"base_model.model.{name.replace('.default.', '.')}": value for name, value in parameters.items()}
    return {
        "adapter_config.json": (json.dumps(about, indent=1, sort_keys=True, default=str) + "\n").encode(),
        "adapter_model.safetensors": tensors(named),
    }


def tensors(parameters: Mapping[str, Tensor]) -> bytes:
    """A safetensors file."""
    plain = {name: value.detach().to("cpu", torch.float32).contiguous() for name, value in parameters.items()}
    return save(plain, {"format": "pt"})
