"""How sure a model is of its predictions beside how often it is right."""

from typing import NamedTuple

import numpy as np

from ..metrics import BINS


class Bins(NamedTuple):
    """15 equal-width bins (low, high] of confidence; the means of a bin without items are NaN."""

    low: np.ndarray  # (15,)
    high: np.ndarray  # (15,)
    items: np.ndarray  # (15,) how many
    confidence: np.ndarray  # (15,) mean
    accuracy: np.ndarray  # (15,) share right


def reliability(confidence: np.ndarray, correct: np.ndarray) -> Bins:
    """The items of each bin, their mean confidence and the share of them that is right."""
    edges = np.linspace(0, 1, BINS + 1)
    which = np.clip(np.searchsorted(edges, np.asarray(confidence, dtype=np.float64)) - 1, 0, BINS - 1)  # (t,)
    items = np.bincount(which, minlength=BINS)
    filled = np.where(items, items, np.nan)
    means = (np.bincount(which, weights=values, minlength=BINS) / filled for values in (confidence, correct))
    return Bins(edges[:-1], edges[1:], items, *means)
