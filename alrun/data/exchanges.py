"""From the rows of a table to exchanges: templates filled in, options listed, labels numbered."""

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..config import DatasetConfig, Goal
from ..errors import UserError
from ..exchange import Exchange
from .columns import demand


class Part(NamedTuple):
    """The rows of one file or split."""

    items: list[Exchange]
    labels: np.ndarray  # (n,) int64, 0 where the completion is known


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
        offered = [_listed(row[about.options], about.options, n, where) for n, row in enumerate(rows)]
    else:
        offered = [tuple(str(option) for option in about.options)] * len(rows)
    labels = [
        _right(row[about.label], options, n, where) for n, (row, options) in enumerate(zip(rows, offered, strict=True))
    ]
    return Part([Exchange(p, o) for p, o in zip(prompts, offered, strict=True)], np.array(labels, np.int64))


def written(template: str, rows: Sequence[Mapping], known: Sequence[str], where: str, option: str) -> list[str]:
    """The template filled with every row's columns; a missing value is nothing, and ends are trimmed."""
    form = string.Formatter()
    try:
        pieces = list(form.parse(template))
    except ValueError as error:
        raise UserError(f"{option}={template!r}: {error}", "columns stand in braces, {{ is a brace") from error
    for _, name, _, _ in pieces:
        if name is not None:
            demand(name, known, where, option)

    def filled(row: Mapping) -> str:
        words = []
        for before, name, layout, conversion in pieces:
            words.append(before)
            if name is not None and not _missing(row[name]):
                value = form.convert_field(row[name], conversion)  # type: ignore[arg-type]
                words.append(form.format_field(value, layout or ""))
        return "".join(words).strip()

    try:
        return [filled(row) for row in rows]
    except (ValueError, TypeError) as error:  # after a colon or ! in braces stands how to write a value
        raise UserError(
            f"{option}={template!r} cannot be written for the rows of {where}: {error}",
            "a column stands alone in its braces",
        ) from error


def _missing(value: Any) -> bool:
    from pandas import isna

    return isna(value) is True  # of a list: an array


def _listed(value: Any, column: str, row: int, where: str) -> tuple[str, ...]:
    """The options of one row."""
    if not isinstance(value, list | tuple | np.ndarray) or any(_missing(option) for option in value):
        raise UserError(
            f"row {row} of {where} has no list of texts in {column!r}, but {value!r:.60}",
            "options are a list in every row, as JSON lines and Parquet have them; one for all rows: options=[no, yes]",
        )
    return tuple(str(option) for option in value)


def _right(value: Any, options: Sequence[str], row: int, where: str) -> int:
    """Which option a label means: its text, or its number from 0."""
    if str(value) in options:
        return options.index(str(value))
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if number not in range(len(options)):
        raise UserError(
            f"row {row} of {where} has the label {value!r}, none of its {len(options)} options",
            "a label is an option's text or its number, from 0",
        )
    return int(number)
