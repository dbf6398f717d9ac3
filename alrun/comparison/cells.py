"""Numbers as text."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .reference import SHARES


class Cell(NamedTuple):
    """Text, and its place among the best three (0: none)."""

    text: str
    place: int = 0


def mean_half(row: pd.Series) -> str:
    """A mean and half of its interval."""
    half = (row["high"] - row["low"]) / 2
    return f"{number(row['mean'])} ±{number(half).removeprefix('0')}" if np.isfinite(half) else number(row["mean"])


def cells(texts: Sequence[Any]) -> list[Cell]:
    """Texts as cells without a place."""
    return [Cell(str(text)) for text in texts]


def number(value: float) -> str:
    """Three decimals; a dash where there is none."""
    return f"{value:.3f}" if np.isfinite(value) else "–"


def signed(value: float) -> str:
    """Three decimals with a sign."""
    return f"{value:+.3f}" if np.isfinite(value) else "–"


def p_text(value: float) -> str:
    """A p-value: never 0."""
    if not np.isfinite(value):
        return "–"
    return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def p_is(value: float) -> str:
    """p = .012, or p < .001."""
    return "p < .001" if value < 0.001 else f"p = {p_text(value)}"


def unit(key: str) -> str:
    """What gains are counted in: points of a share, else the metric's own unit."""
    return "points" if key.rpartition("/")[2] in SHARES else "units of it"


def points(gain: float, key: str) -> str:
    """A gain in its unit, with its sign; never -0."""
    if key.rpartition("/")[2] in SHARES:
        return f"{round(100 * gain, 1) + 0.0:+.1f}"
    return f"{round(gain, 3) + 0.0:+.3f}"
