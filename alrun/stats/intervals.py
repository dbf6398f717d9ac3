"""How well a mean over seeds is known: t and bootstrap intervals, and when they say too little."""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from ..errors import UserError

Kind = Literal["t", "bootstrap"]
KINDS: tuple[str, ...] = get_args(Kind)
FEW = 10  # seeds below which a percentile bootstrap is clearly too narrow: see `bootstrap_interval`


class Interval(NamedTuple):
    """A mean and the two ends of its interval, each of the shape of one seed's values."""

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def interval(values: ArrayLike, *, kind: str, level: float, resamples: int, rng: np.random.Generator) -> Interval:
    """The mean over the first axis (seeds) and its two-sided interval; `resamples` and `rng` are the bootstrap's."""
    if kind == "t":
        return t_interval(values, level)
    if kind == "bootstrap":
        return bootstrap_interval(values, level, resamples, rng)
    raise UserError(f"unknown band {kind!r}", f"choose from {', '.join(KINDS)}")


def t_interval(values: ArrayLike, level: float) -> Interval:
    """mean ± t(n-1) s/√n (Student 1908), exact for normal seeds; NaN ends for one seed."""
    table = np.asarray(values, dtype=np.float64)  # (n, ...)
    n, mean = len(table), table.mean(axis=0)
    if n < 2:
        return Interval(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    half = stdtrit(n - 1, (1 + level) / 2) * table.std(axis=0, ddof=1) / np.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(values: ArrayLike, level: float, resamples: int, rng: np.random.Generator) -> Interval:
    """Percentile bootstrap of the mean over seeds (Efron 1979); NaN ends for one seed.

    Whole seeds are drawn, the same ones for every column, so a curve's points move together. With few seeds it is too
    narrow: of normal data, 95 % intervals hold the mean about 83 times of 100 with 5 seeds, 90 with 10, 93 with 20.
    """
    table = np.asarray(values, dtype=np.float64)  # (n, ...)
    n, mean = len(table), table.mean(axis=0)
    if n < 2:
        return Interval(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n  # (resamples, n)
    means = weights @ table.reshape(n, -1)  # (resamples, columns)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0).reshape(2, *mean.shape)
    return Interval(mean, low, high)
