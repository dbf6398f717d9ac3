"""EfficientNet-Lite0, a small convolutional network trained on ImageNet (Tan and Le 2019; Liu 2020)."""

from hashlib import sha256
from pathlib import Path

import numpy as np

from ..data.source import Source
from ..errors import UserError
from ..pretrained import LITE, lite_weights
from ..registry import encoder
from .encoder import Encoder, Work, blocks
from .vision import colour


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
    path = _weights()
    digest = sha256(path.read_bytes()).hexdigest()
    identity = {"method": "efficientnet", "weights": digest, "size": size, "batch": batch}

    def start(device: str) -> Work:
        import torch
        from efficientnet_lite_pytorch import EfficientNet
        from PIL import Image

        network = EfficientNet.from_name(LITE, image_size=size)
        # weights_only reads numbers and refuses everything that could run.
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        network = network.eval().to(device)

        @torch.inference_mode()
        def encode(rows: np.ndarray) -> np.ndarray:
            pictures = [Image.fromarray(colour(source.items[row])) for row in rows]
            scaled = np.stack([np.asarray(p.resize((size, size), Image.Resampling.BICUBIC)) for p in pictures])
            pixels = torch.from_numpy(scaled).permute(0, 3, 1, 2).float()  # (b, 3, size, size) 0..255
            maps = network.extract_features(((pixels - 127) / 128).to(device))  # (b, 1280, h, w)
            return maps.mean(dim=(2, 3)).cpu().numpy()

        return Work(1280, blocks(len(source), batch), encode)

    return Encoder(identity, start)


def _weights() -> Path:
    return lite_weights("encoder 'efficientnet'", "encoder=none takes the pixels as they are")
