"""Instruction data: a pool of prompts with their completions, and a target task that they are to be chosen for."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..config import DatasetConfig, Goal, Task
from ..errors import UserError
from ..exchange import Exchange
from ..registry import dataset
from . import checks
from .assemble import SHARE, fraction
from .columns import demand
from .files import located, read
from .hub import fetch
from .source import Source, digests, fingerprint


class Part(NamedTuple):
    """The rows of one file or split."""

    items: list[Exchange]
    labels: np.ndarray  # (n,) int64, 0 where the completion is known


@dataset
def instruction_files(cfg: DatasetConfig) -> Source:
    """Exchanges from files: dataset.train is the pool; dataset.goal, or else dataset.test, what the model is for."""
    _demand_options(cfg, "path", "config", "revision")
    return _source(cfg, lambda wanted, split: read(located(split, f"dataset.{split}")))


@dataset
def instruction_hub(cfg: DatasetConfig) -> Source:
    """Exchanges from the Hugging Face hub: a dataset and its splits for the pool, and others in dataset.goal."""
    for key, owner in (("path", cfg), ("goal.path", cfg.goal)):
        if owner is not None and owner.path is None:
            raise UserError(f"dataset={cfg.name} needs dataset.{key}", f"dataset.{key}=NAME or FOLDER")

    def table(wanted: DatasetConfig | Goal, split: str) -> Any:
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
    if cfg.goal is not None and cfg.test is not None:
        raise UserError("dataset.test and dataset.goal both name a test split", "leave dataset.test out")
    pool = exchanges(table(cfg, cfg.train), cfg, "dataset", cfg.train)
    goal, prefix = (cfg, "dataset") if cfg.goal is None else (cfg.goal, "dataset.goal")
    if cfg.goal is not None and cfg.goal.train is None:
        raise UserError("dataset.goal has no train rows to draw the target from", "dataset.goal.train=PATH or SPLIT")
    near = pool if cfg.goal is None else exchanges(table(goal, str(goal.train)), goal, prefix, str(goal.train))
    share = _share(goal.test, f"{prefix}.test")
    if share is None:
        far = exchanges(table(goal, str(goal.test)), goal, prefix, str(goal.test))
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


def exchanges(frame: Any, about: DatasetConfig | Goal, prefix: str, where: str) -> Part:
    """The rows of a table as exchanges: `prompt` and `completion` are texts with {columns} in braces.

    With `options`, the same for all rows or a column of lists, `label` is the column of the right one or its number.
    """
    where = Path(where).name
    if not len(frame):
        raise UserError(f"{where} has no rows", "is it the right file, or the right split?")
    known = [str(column) for column in frame.columns]
    rows = frame.set_axis(known, axis=1).to_dict("records")
    if about.prompt is None:
        raise UserError(f"{prefix}.prompt is missing", f"{prefix}.prompt='{{{known[0]}}}': columns in braces")
    prompts = written(about.prompt, rows, known, where, f"{prefix}.prompt")
    if (about.options is None) == (about.completion is None):
        raise UserError(
            f"{prefix} needs either a completion or options",
            f"{prefix}.completion='{{column}}'",
            f"{prefix}.options=[no, yes]",
        )
    if about.completion is not None:
        said = written(about.completion, rows, known, where, f"{prefix}.completion")
        return Part([Exchange(p, (c,)) for p, c in zip(prompts, said, strict=True)], np.zeros(len(rows), np.int64))
    if about.label is None:
        raise UserError(f"{prefix}.options need {prefix}.label", "the column of the right option or of its number")
    demand(about.label, known, where, f"{prefix}.label")
    if isinstance(about.options, str):
        demand(about.options, known, where, f"{prefix}.options")
        offered = [tuple(str(option) for option in row[about.options]) for row in rows]
    else:
        offered = [tuple(str(option) for option in about.options)] * len(rows)
    labels = [
        _right(row[about.label], options, n, where) for n, (row, options) in enumerate(zip(rows, offered, strict=True))
    ]
    return Part([Exchange(p, o) for p, o in zip(prompts, offered, strict=True)], np.array(labels, np.int64))


def written(template: str, rows: Sequence[Mapping], known: Sequence[str], where: str, option: str) -> list[str]:
    """The template filled with every row's columns; a missing value is nothing, and ends are trimmed."""
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise UserError(f"{option}={template!r}: {error}", "columns stand in braces, {{ is a brace") from error
    for name in fields:
        demand(name, known, where, option)

    def filled(row: Mapping) -> str:
        words = {name: "" if row[name] is None or row[name] != row[name] else row[name] for name in fields}
        return template.format(**words).strip()

    return [filled(row) for row in rows]


def _right(value: Any, options: Sequence[str], row: int, where: str) -> int:
    """Which option a label means: its text, or its number from 0."""
    if str(value) in options:
        return options.index(str(value))
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number < len(options):
        raise UserError(
            f"row {row} of {where} has the label {value!r}, none of its {len(options)} options",
            "a label is an option's text or its number, from 0",
        )
    return number


def _share(test: str | None, option: str) -> float | None:
    """The share of the train rows to cut off; None for a file or split of its own."""
    try:
        return SHARE if test is None else fraction(test, option) if float(test) is not None else None
    except ValueError:
        return None


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
