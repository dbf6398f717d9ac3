"""Labels that are numbers on a scale: ratings, grades, counts. Their classes are the levels of the scale, ascending."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..config import DatasetConfig, Task
from ..errors import UserError
from . import checks

MOST = 64  # levels that are taken as they are
DIGITS = 6  # decimals in which two numbers of a label column must differ to be two levels


class Scale(NamedTuple):
    """How numbers become classes: each its own, or `bins` of about equally many train rows."""

    bins: int | None = None


def scale(cfg: DatasetConfig) -> Scale | None:
    """The scale that `dataset.task=ordinal` asks for; None where labels name their classes."""
    return Scale(cfg.bins) if cfg.task == Task.ordinal else None


def numbers(values: np.ndarray, where: str) -> np.ndarray:
    """(n,) float64 of a label column, each finite."""
    values = np.asarray(values)
    if values.ndim == 1 and not checks.missing(values).any():
        try:
            found = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            odd = next(v for v in values.tolist() if not _number(v))
            raise UserError(
                f"dataset.task=ordinal needs labels that are numbers, {where} has {odd!r}",
                "dataset.task=classification, or name another dataset.label",
            ) from error
        if np.isfinite(found).all():
            return np.round(found, DIGITS) + 0.0  # no -0
        raise UserError(f"{int((~np.isfinite(found)).sum())} labels of {where} are infinite", "take these rows out")
    checks.names(values, where)  # says what is wrong: a shape or missing values
    raise AssertionError(f"{where} has neither")


def _number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


class Levels(NamedTuple):
    """A fitted scale."""

    cuts: np.ndarray  # (C - 1,) a value above cuts[k] is above level k
    levels: np.ndarray  # (C,) ascending: the number that each class stands for
    names: tuple[str, ...]

    def place(self, values: np.ndarray) -> np.ndarray:
        """(n,) int64 classes of values."""
        return np.searchsorted(self.cuts, values, side="left").astype(np.int64)


def exact(train: np.ndarray, where: str) -> Levels:
    """Every distinct number is a level; other values go to the nearest one, the lower of two."""
    levels = np.unique(train)  # (C,)
    if len(levels) > MOST:
        raise UserError(
            f"{where} has {len(levels)} different labels, more than the {MOST} that are taken as levels",
            "dataset.bins=10, say: bins of about equally many items, each standing for its mean",
        )
    return _sound(Levels((levels[1:] + levels[:-1]) / 2, levels, tuple(f"{level:g}" for level in levels)), train, where)


def binned(train: np.ndarray, bins: int, where: str) -> Levels:
    """At most `bins` intervals cut at quantiles of `train`, fewer where values repeat; a level is its items' mean."""
    edges = np.quantile(train, np.arange(1, bins) / bins, method="inverted_cdf")  # (bins - 1,) values that occur
    cuts = np.unique(edges[edges < train.max()])
    inside = np.searchsorted(cuts, train, side="left")  # (n,)
    groups = [train[inside == k] for k in range(len(cuts) + 1)]
    spans = [(f"{group.min():g}", f"{group.max():g}") for group in groups]
    names = tuple(low if low == high else f"{low} to {high}" for low, high in spans)
    return _sound(Levels(cuts, np.array([group.mean() for group in groups]), names), train, where)


def _sound(found: Levels, train: np.ndarray, where: str) -> Levels:
    if len(found.levels) < 2:
        raise UserError(
            f"all {len(train)} labels of {where} are on one level, {found.names[0]}: there is nothing to learn",
            "name another dataset.label",
        )
    if len(found.levels) > len(train) / 2:
        raise UserError(
            f"{where} has {len(found.levels)} levels for {len(train)} items: too few to learn any",
            f"dataset.bins={max(2, len(train) // 20)}, say",
        )
    return found


def named(found: Levels, classes: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the levels; where labels are numbers of named classes, those names."""
    if classes is None or not all(float(level).is_integer() and 0 <= level < len(classes) for level in found.levels):
        return found.names
    return tuple(classes[int(level)] for level in found.levels)
