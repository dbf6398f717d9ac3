"""EfficientNet-Lite0, a small convolutional network trained on ImageNet (Tan and Le 2019; Liu 2020)."""

import numpy as np

from ..data.source import Source
from ..errors import UserError
from ..pictures import coloured, lite_network, lite_pixels, lite_weights
from ..pretrained import fingerprint
from ..registry import encoder
from .encoder import Encoder, Work, blocks


@encoder
def efficientnet(source: Source, *, size: int, batch: int) -> Encoder:
    """1,280 values per picture: the last layer's maps averaged over places, the picture scaled to size x size."""
    if source.kind != "image":
        raise UserError(
            f"encoder 'efficientnet' looks at images, and {source.name!r} has {source.kind} items",
            "encoder=none for columns, encoder=minilm for texts",
        )
    if size < 32 or batch < 1:
        raise UserError(f"encoder.size={size}, encoder.batch={batch}: at least 32 pixels and 1 picture")
    weights = lite_weights("encoder 'efficientnet'", "encoder=none takes the pixels as they are")
    identity = {"method": "efficientnet", "weights": fingerprint(weights), "size": size, "batch": batch}

    def start(device: str) -> Work:
        import torch

        network = lite_network(weights, size).to(device)

        @torch.inference_mode()
        def encode(rows: np.ndarray) -> np.ndarray:
            pixels = lite_pixels([coloured(source.items[row]) for row in rows], size)  # (b, 3, size, size)
            maps = network.extract_features(pixels.to(device))  # (b, 1280, h, w)
            return maps.mean(dim=(2, 3)).cpu().numpy()

        return Work(1280, blocks(len(source), batch), encode)

    return Encoder(identity, start)
