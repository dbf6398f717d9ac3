"""What one run gets of a dataset: the pool it may buy from, its target split, and what the oracle will say."""

from dataclasses import dataclass

import numpy as np

from ..config import DatasetConfig
from ..errors import UserError
from ..streams import Stream, stream
from .source import Source


@dataclass(frozen=True)
class Dataset:
    """A source and its rows by role. Pool index i is `pool[i]`; the order of the pool is a seeded shuffle."""

    source: Source
    pool: np.ndarray  # (N,) int64 source rows
    target: np.ndarray  # (v,) int64 source rows, by class
    test: np.ndarray  # (t,) int64 source rows
    answers: np.ndarray  # (N,) int64 what the oracle says about the pool, wrong for the share that label_noise asks

    @property
    def n_classes(self) -> int:
        return len(self.source.classes)


def split(source: Source, cfg: DatasetConfig, seed: int) -> Dataset:
    """Target draw, long tail, pool subsample, shuffle, label noise: in this order, from the seed alone."""
    rng = stream(seed, Stream.SPLIT)
    _demand_certain(source, cfg)
    target = draw_target(source, cfg.target, rng)
    rows = long_tail(source, np.setdiff1d(source.train, target), cfg.imbalance, rng)
    if cfg.pool is not None and cfg.pool > len(rows):
        raise UserError(
            f"dataset.pool={cfg.pool} asks for more than the {len(rows)} items that {source.name!r} has for its pool",
            f"dataset.pool={len(rows)} or fewer",
        )
    pool = rng.permutation(rows)[: cfg.pool]  # (N,)
    answers = noisy(source.labels[pool], len(source.classes), cfg.label_noise, stream(seed, Stream.NOISE))
    return Dataset(source, pool, target, source.test, answers)


def _demand_certain(source: Source, cfg: DatasetConfig) -> None:
    """Completions that come with the items are no classes: they have neither noise nor a long tail."""
    known = source.kind == "instruction" and all(len(source.items[row].options) == 1 for row in source.train)  # type: ignore[union-attr]
    if known and (cfg.label_noise or cfg.imbalance != 1):
        raise UserError(
            f"dataset.label_noise={cfg.label_noise:g} and dataset.imbalance={cfg.imbalance:g} are for items that have "
            f"labels; those of {source.name!r} have completions",
            "leave both out",
        )


def draw_target(source: Source, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """(C * per_class,) train rows, drawn at random within each class; every class keeps an item for the pool.

    Rows that a source has set aside for the target need not leave anything behind.
    """
    drawn = []
    rows, kept = (source.train, 1) if source.aside is None else (source.aside, 0)
    for c, name in enumerate(source.classes):
        mine = rows[source.labels[rows] == c]
        if per_class and len(mine) < per_class + kept:
            raise UserError(
                f"class {name!r} of {source.name!r} has {len(mine)} train items, too few for dataset.target="
                f"{per_class}" + " and one in the pool" * kept,
                f"dataset.target={max(0, len(mine) - kept)} or less (0: no target split)",
            )
        drawn.append(rng.permutation(mine)[:per_class])
    return np.concatenate(drawn)


def long_tail(source: Source, rows: np.ndarray, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """The rows that leave class c with its share of an exponential profile, n_c = n_0 * ratio^(-c / (C-1)).

    Class 0 is `ratio` times the last one (Cui et al. 2019, section 5); n_0 is as large as the data allow.
    """
    if ratio == 1:
        return rows
    n_classes = len(source.classes)
    count = np.bincount(source.labels[rows], minlength=n_classes)  # (C,)
    decay = ratio ** -(np.arange(n_classes) / (n_classes - 1))  # (C,) 1 down to 1/ratio
    keep = np.floor((count / decay).min() * decay + 1e-9).astype(int)  # (C,)
    if keep.min() < 1:
        raise UserError(
            f"dataset.imbalance={ratio:g} leaves no item of class {source.classes[-1]!r}: "
            f"the largest class can have {keep.max()}",
            f"dataset.imbalance={keep.max()} or less",
        )
    kept = [rng.permutation(rows[source.labels[rows] == c])[: keep[c]] for c in range(n_classes)]
    return np.concatenate(kept)


def noisy(labels: np.ndarray, n_classes: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) labels of which round(share * N) are replaced by another class, each other class equally likely."""
    answers = labels.copy()
    wrong = rng.permutation(len(labels))[: round(share * len(labels))]
    answers[wrong] = (labels[wrong] + rng.integers(1, n_classes, len(wrong))) % n_classes
    return answers
