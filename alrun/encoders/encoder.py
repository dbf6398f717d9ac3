"""What an encoder is: a name for its features, and a way to compute them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Work(NamedTuple):
    """An encoder made ready: weights loaded, statistics fitted."""

    width: int  # F
    batches: Sequence[np.ndarray]  # source rows; together every row once. Fixed, so that work can stop and go on
    encode: Callable[[np.ndarray], np.ndarray]  # rows (n,) -> features (n, F) float32
    light: bool = False  # done in less time than it takes to ask another process


@dataclass(frozen=True)
class Encoder:
    """A frozen map from the items of a source to features.

    `identity` holds everything but the source that can change a number: method, options, hash of weights. It must
    survive JSON. `start` does the slow part, and only when features are not cached; it is given a torch device.
    """

    identity: Mapping[str, Any]
    start: Callable[[str], Work]


def blocks(n: int, size: int) -> list[np.ndarray]:
    """Rows 0..n-1 in order, `size` at a time."""
    return [np.arange(first, min(first + size, n)) for first in range(0, n, size)]
