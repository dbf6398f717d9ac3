"""No network: the numbers or pixels themselves, standardised."""

import numpy as np

from ..data.images import Images, stack
from ..data.source import Source
from ..errors import UserError
from ..registry import encoder
from .encoder import Encoder, Work, blocks


@encoder
def none(source: Source) -> Encoder:
    """Columns with mean 0 and standard deviation 1 on train rows; pixels with mean 0 each and one scale for all.

    Pixels share a unit: scaled one by one, those that are nearly always black would count most (1-NN with 10 labels a
    class: digits 0.875 that way and 0.909 this way, MNIST 0.705 and 0.755). What is constant on train rows becomes 0.
    """
    if source.kind in ("text", "pair"):
        raise UserError(
            f"encoder 'none' passes numbers on, and {source.name!r} has texts",
            "encoder=minilm, or encoder=tfidf, which needs nothing",
        )

    def start(device: str) -> Work:
        items = stack(source.items) if isinstance(source.items, Images) else np.asarray(source.items)
        flat = items.reshape(len(items), -1)  # (n, F)
        mean, variance, constant = _moments(flat, source.train)  # (F,) each
        if source.kind == "image":
            variance = np.full_like(variance, variance.mean())
        scale = np.where(constant, 0.0, 1.0 / np.sqrt(np.where(constant, 1.0, variance)))  # (F,)

        def encode(rows: np.ndarray) -> np.ndarray:
            return ((flat[rows] - mean) * scale).astype(np.float32)

        return Work(flat.shape[1], blocks(len(flat), 4096), encode, light=True)

    return Encoder({"method": "none", "version": 2}, start)


def _moments(flat: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and whether all values are equal, of every column over the rows `train`; block by block."""
    pieces = [train[rows] for rows in blocks(len(train), 4096)]
    mean = sum(flat[rows].sum(axis=0, dtype=np.float64) for rows in pieces) / len(train)
    variance = sum(((flat[rows] - mean) ** 2).sum(axis=0) for rows in pieces) / len(train)
    constant = np.all([(flat[rows] == flat[train[0]]).all(axis=0) for rows in pieces], axis=0)
    return np.asarray(mean), np.asarray(variance), constant
