"""No network: the numbers or pixels themselves, standardised."""

import numpy as np

from ..data.images import Images, stack
from ..data.source import Source
from ..errors import UserError
from ..registry import encoder
from .encoder import Encoder, Work, blocks


@encoder
def none(source: Source) -> Encoder:
    """Columns, or pixels, with mean 0 and standard deviation 1 on train rows; constant ones become 0."""
    if source.kind == "text":
        raise UserError(
            f"encoder 'none' passes numbers on, and {source.name!r} has texts",
            "encoder=minilm, or encoder=tfidf, which needs nothing",
        )

    def start(device: str) -> Work:
        items = stack(source.items) if isinstance(source.items, Images) else np.asarray(source.items)
        flat = items.reshape(len(items), -1)  # (n, F)
        train = flat[source.train].astype(np.float64)
        mean, spread = train.mean(axis=0), train.std(axis=0)  # (F,)
        constant = (train == train[0]).all(axis=0)  # exactly: a rounded spread is not quite 0
        scale = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, spread))  # (F,)

        def encode(rows: np.ndarray) -> np.ndarray:
            return ((flat[rows] - mean) * scale).astype(np.float32)

        return Work(flat.shape[1], blocks(len(flat), 4096), encode)

    return Encoder({"method": "none"}, start)
