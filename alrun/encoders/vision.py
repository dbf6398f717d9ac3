"""Pictures through a frozen vision transformer or convolutional network."""

from pathlib import Path
from typing import Any

import numpy as np

from ..data.source import Source
from ..errors import UserError
from ..pretrained import Pooling, Precision, digest, load, pool
from .encoder import Encoder, Work, blocks
from .transformer import finish, probe


def vision(
    source: Source, folder: Path, *, pooling: Pooling, normalise: bool, precision: Precision, batch: int, name: str
) -> Encoder:
    """Pictures scaled as the network's own processor says, token or place vectors pooled."""
    if batch < 1:
        raise UserError(f"encoder.batch={batch} is below 1")
    identity = {
        "method": name,
        "files": digest(folder),
        "pooling": str(pooling),
        "normalise": normalise,
        "precision": str(precision),
        "batch": batch,
    }

    def start(device: str) -> Work:
        import torch
        import transformers

        # The same pixels whether or not torchvision is installed.
        plain = {"backend": "pil"} if int(transformers.__version__.split(".")[0]) >= 5 else {"use_fast": False}
        processor, network = load(folder, "AutoImageProcessor", precision, device, **plain)
        tower = getattr(network, "vision_model", network)  # CLIP and its kin have a text side too

        @torch.inference_mode()
        def encode(rows: np.ndarray) -> np.ndarray:
            pixels = processor([colour(source.items[row]) for row in rows], return_tensors="pt")["pixel_values"]
            out: Any = tower(pixels.to(device, getattr(torch, precision)))  # (b, s, D) or (b, D, h, w)
            return finish(pool(out, None, pooling), normalise)

        return Work(probe(encode, folder), blocks(len(source), batch), encode)

    return Encoder(identity, start)


def colour(pixels) -> np.ndarray:
    """(H, W, 3) uint8 of a grey or coloured picture."""
    pixels = np.asarray(pixels)
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
