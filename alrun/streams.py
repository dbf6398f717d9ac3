"""The named random streams of a run. All come from its one seed; none is shared."""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What randomness is for."""

    SPLIT = 0
    INITIAL = 1
    MODEL = 2
    STRATEGY = 3
    REFIT = 4
    NOISE = 5


def stream(seed: int, purpose: Stream, cycle: int = 0) -> np.random.Generator:
    """A generator that depends on (seed, cycle, purpose) alone, so a resumed run draws what it would have drawn."""
    return np.random.default_rng([seed, cycle, int(purpose)])
