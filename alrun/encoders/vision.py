"""Pictures through a frozen vision transformer or convolutional network."""

from pathlib import Path

import numpy as np

from ..data.source import Source
from ..errors import UserError
from ..pictures import coloured, load_vision
from ..pretrained import Dtype, Pooling, digest, pool
from .encoder import Encoder, Work, blocks
from .transformer import finish, probe


def vision(
    source: Source, folder: Path, *, pooling: Pooling, normalise: bool, precision: Dtype, batch: int, name: str
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

        read, network = load_vision(folder, precision, device)

        @torch.inference_mode()
        def encode(rows: np.ndarray) -> np.ndarray:
            pixels = read([coloured(source.items[row]) for row in rows])  # (b, 3, h, w)
            out = network(pixels.to(device, getattr(torch, precision)))  # (b, s, D) or (b, D, h, w)
            return finish(pool(out, None, pooling), normalise)

        return Work(probe(encode, folder, network), blocks(len(source), batch), encode)

    return Encoder(identity, start)
