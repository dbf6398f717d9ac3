"""Instruction data: a pool of prompts with their completions, and a target task that they are to be chosen for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..config import DatasetConfig, Goal, Task
from ..errors import UserError
from ..registry import dataset
from . import checks
from .assemble import SHARE
from .exchanges import Part, exchanges
from .files import located, read
from .hub import fetch
from .source import Source, digests, fingerprint


@dataset
def instruction_files(cfg: DatasetConfig) -> Source:
    """Exchanges from files: dataset.train is the pool; dataset.goal, or else dataset.test, what the model is for."""
    _demand_options(cfg, "path", "config", "revision")
    return _source(cfg, lambda wanted, split, option: read(located(split, option)))


@dataset
def instruction_hub(cfg: DatasetConfig) -> Source:
    """Exchanges from the Hugging Face hub: a dataset and its splits for the pool, and others in dataset.goal."""
    for key, owner in (("path", cfg), ("goal.path", cfg.goal)):
        if owner is not None and owner.path is None:
            raise UserError(f"dataset={cfg.name} needs dataset.{key}", f"dataset.{key}=NAME or FOLDER")

    def table(wanted: DatasetConfig | Goal, split: str, option: str) -> Any:
        about = replace(cfg, path=wanted.path, config=wanted.config, revision=wanted.revision)
        return fetch(about, split).to_pandas()

    return _source(cfg, table)


def _demand_options(cfg: DatasetConfig, *keys: str) -> None:
    for key in keys:
        if getattr(cfg, key) is not None or getattr(cfg.goal, key, None) is not None:
            raise UserError(f"dataset.{key} is not used by {cfg.name}", "it belongs to dataset=instruct_hub")


def _source(cfg: DatasetConfig, table: Any) -> Source:
    """Pool rows first, then the rows the target is drawn from, then the test rows; without a goal as other sources."""
    if cfg.train is None:
        raise UserError(f"dataset={cfg.name} needs dataset.train", "dataset.train=PATH or SPLIT")
    if cfg.task != Task.classification:
        raise UserError(f"dataset.task={cfg.task} is not for instructions", "dataset.task=classification")
    if cfg.goal is not None and cfg.goal.train is None:
        raise UserError(
            "dataset.goal has no train rows to draw the target from",
            "dataset.goal.train=PATH or SPLIT",
            "dataset.goal=null: no task beside the pool's own",
        )
    if cfg.goal is not None and cfg.test is not None:
        raise UserError("dataset.test and dataset.goal both name a test split", "leave dataset.test out")

    def part(about: DatasetConfig | Goal, prefix: str, key: str) -> Part:
        split = str(getattr(about, key))
        return exchanges(table(about, split, f"{prefix}.{key}"), about, prefix, split)

    goal, prefix = (cfg, "dataset") if cfg.goal is None else (cfg.goal, "dataset.goal")
    pool = part(cfg, "dataset", "train")
    near = pool if cfg.goal is None else part(goal, prefix, "train")
    share = _share(goal.test, f"{prefix}.test")
    if share is None:
        far = part(goal, prefix, "test")
    else:
        near, far = _cut(near, share)
        pool = near if cfg.goal is None else pool
    if cfg.goal is not None:
        far = _some(far, cfg.goal.rows)
    parts = [pool, far] if cfg.goal is None else [pool, near, far]
    return _joined(cfg, parts, goal)


def _joined(cfg: DatasetConfig, parts: Sequence[Part], goal: DatasetConfig | Goal) -> Source:
    items = [item for part in parts for item in part.items]
    labels = np.concatenate([part.labels for part in parts])  # (n,)
    width = max(len(item.options) for item in items)
    named = isinstance(goal.options, list | tuple)
    classes = tuple(map(str, goal.options)) if named else tuple(f"option_{c}" for c in range(width))
    if width > len(classes) or len(set(classes)) < len(classes):
        raise UserError(f"{cfg.name} has items of {width} options and {len(set(classes))} names for them: {classes}")
    ends = np.cumsum([len(part.labels) for part in parts])
    test = np.arange(ends[-2], ends[-1])  # (t,)
    aside = np.arange(ends[0], ends[-2])  # rows that only the target is drawn from
    marks = digests(items)
    empty = sum(not option.strip() for item in items for option in item.options)
    found = [f"{empty} empty completions"] if empty else []
    found += checks.copies(marks, labels, test)
    if len(classes) > 1:
        found += checks.absent(classes, labels, test)
    mark = fingerprint("instruction", marks, [], labels, classes, test, aside)
    return Source(
        cfg.name, "instruction", items, labels, classes, test, tuple(found), mark, aside=aside if cfg.goal else None
    )


def _share(test: str | None, option: str) -> float | None:
    """The share of the train rows to cut off; None for a file or split of its own."""
    try:
        share = SHARE if test is None else float(test)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise UserError(f"{option}={test} is not a share between 0 and 1", f"{option}=0.3, say, or a file or split")
    return share


def _cut(part: Part, share: float) -> tuple[Part, Part]:
    """Two parts, the second a fixed random share: no seed, so that every run is tested on the same rows."""
    order = np.random.default_rng(0).permutation(len(part.labels))
    held = np.sort(order[: max(1, round(share * len(order)))])
    return _taken(part, np.setdiff1d(np.arange(len(order)), held)), _taken(part, held)


def _some(part: Part, rows: int | None) -> Part:
    """A fixed random part of so many rows."""
    if rows is None or rows >= len(part.labels):
        return part
    return _taken(part, np.sort(np.random.default_rng(0).permutation(len(part.labels))[:rows]))


def _taken(part: Part, rows: np.ndarray) -> Part:
    return Part([part.items[row] for row in rows], part.labels[rows])


def readable(source: Source) -> Source:
    """The same source as plain texts, for encoders: prompts, with completions where they are known."""
    if source.kind != "instruction":
        return source
    texts = [item.text for item in source.items]  # type: ignore[union-attr]
    return replace(source, kind="text", items=texts)
