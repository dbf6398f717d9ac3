"""From columns of a table to the items of a dataset: texts, pictures or numbers, told apart by what is in them."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError, nearest
from .images import SUFFIXES, Images
from .source import Items, Kind


class Content(NamedTuple):
    """Items of one split, and what they are."""

    kind: Kind
    items: Items
    columns: tuple[str, ...] = ()


def demand(name: str, known: Sequence[str], where: str, option: str) -> None:
    """UserError unless `name` is one of the columns or arrays `known`."""
    if name not in known:
        shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
        raise UserError(f"{where} has no {name!r} for {option}", *nearest(name, known), f"it has {shown or 'nothing'}")


def content(frame: Any, wanted: str | Sequence[str] | None, label: str, where: str, folder: Path) -> Content:
    """The items of a DataFrame: the column `wanted`, two of texts as pairs, several as numbers, or every numeric column
    but the label. In a list a name may be a pattern: `llm_*` is every column that begins so."""
    from pandas.api.types import is_numeric_dtype

    known = [str(column) for column in frame.columns]
    frame = frame.set_axis(known, axis=1)
    if wanted is None:
        wanted = [c for c in known if c != label and is_numeric_dtype(frame[c].dtype)]
        if not wanted:
            others = ", ".join(c for c in known if c != label) or "there is none"
            raise UserError(
                f"{where} has no numeric column besides the label {label!r}",
                f"dataset.input=COLUMN names a text or image column: {others}",
            )
    if isinstance(wanted, str):
        demand(wanted, known, where, "dataset.input")
        _distinct([wanted], label)
        return single(frame[wanted], wanted, where, folder)
    wanted = spelled([str(c) for c in wanted], known, label)
    for column in wanted:
        demand(column, known, where, "dataset.input")
    _distinct(wanted, label)
    if len(wanted) == 2 and not any(is_numeric_dtype(frame[c].dtype) for c in wanted):
        first, second = (single(frame[c], c, where, folder) for c in wanted)
        if (first.kind, second.kind) != ("text", "text"):
            raise UserError(
                f"{wanted[0]!r} of {where} holds {first.kind} items, {wanted[1]!r} holds {second.kind} items",
                "a pair is two columns of texts",
            )
        return Content("pair", list(zip(first.items, second.items, strict=True)))
    numbers = np.stack([_numbers(frame[c], c, where) for c in wanted], axis=1)  # (n, F)
    return Content("table", numbers, tuple(wanted))


def spelled(wanted: Sequence[str], known: Sequence[str], label: str) -> list[str]:
    """Column names, patterns replaced by the columns they fit; never the label by a pattern."""
    found: list[str] = []
    for name in wanted:
        fitting = [c for c in known if c != label and fnmatchcase(c, name)]
        found += [name] if name in known or not fitting else fitting
    return list(dict.fromkeys(found))


def _distinct(wanted: Sequence[str], label: str) -> None:
    if label in wanted:
        raise UserError(
            f"dataset.input and dataset.label are both {label!r}: the answer would be among the inputs",
            "leave the label out of dataset.input",
        )


def _numbers(series: Any, column: str, where: str) -> np.ndarray:
    """(n,) float32 of one column; missing values become NaN, which the checks count."""
    from pandas.api.types import is_numeric_dtype

    if not is_numeric_dtype(series.dtype):
        row, value = next(((i, v) for i, v in enumerate(series) if not isinstance(v, int | float)), (0, series.iloc[0]))
        shown = repr(value) if len(repr(value)) < 40 else repr(value)[:36] + "..."
        raise UserError(
            f"column {column!r} of {where} is not numeric: {shown} in row {row}",
            f"choose numeric columns, or dataset.input={column} alone if it is a text, or two columns of texts",
        )
    with np.errstate(over="ignore"):
        return series.to_numpy(np.float64, na_value=np.nan).astype(np.float32)


def single(series: Any, column: str, where: str, folder: Path) -> Content:
    """One column: pictures if it holds them or names their files, vectors if it holds lists, else texts or numbers."""
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(series.dtype):
        return Content("table", _numbers(series, column, where)[:, None], (column,))
    values = series.tolist()
    gone = [row for row, v in enumerate(values) if v is None or (isinstance(v, float) and v != v)]
    if gone:
        raise UserError(
            f"{len(gone)} of {len(values)} values in {column!r} of {where} are missing, first in row {gone[0]}",
            "take these rows out: there is nothing to show the oracle",
        )
    kinds = {type(v) for v in values}
    if kinds and kinds <= {dict, bytes}:
        return Content("image", Images([_encoded(v, row, column, where, folder) for row, v in enumerate(values)]))
    if kinds and kinds <= {list, np.ndarray}:
        return Content("table", _vectors(values, column, where))
    odd = next(((row, v) for row, v in enumerate(values) if not isinstance(v, str)), None)
    if odd is not None:
        raise UserError(
            f"{column!r} of {where} mixes texts with {type(odd[1]).__name__}, in row {odd[0]}",
            "a column of texts, of images, or of numbers",
        )
    if values and all(v.lower().endswith(SUFFIXES) for v in values):
        return Content("image", Images(_paths(values, column, where, folder)))
    return Content("text", values)


def _encoded(value: Any, row: int, column: str, where: str, folder: Path) -> bytes | Path:
    """A picture as Hugging Face stores it: {bytes, path}, one of which may be None."""
    if isinstance(value, bytes):
        return value
    if isinstance(value.get("bytes"), bytes):
        return value["bytes"]
    if isinstance(value.get("path"), str):
        return _paths([value["path"]], column, where, folder)[0]
    raise UserError(
        f"row {row} of {column!r} of {where} is not an image: it has {', '.join(map(str, value)) or 'nothing'}",
        "an image is {bytes, path}, its bytes, or the path of a file",
    )


def _paths(values: Sequence[str], column: str, where: str, folder: Path) -> list[Path]:
    found = [folder / value for value in values]
    gone = [path for path in found if not path.is_file()]
    if gone:
        raise UserError(
            f"{len(gone)} of {len(found)} image files in {column!r} of {where} do not exist, first {str(gone[0])!r}",
            "paths are relative to the folder of the table",
        )
    return found


def _vectors(values: Sequence[Any], column: str, where: str) -> np.ndarray:
    lengths = {len(v) for v in values}
    if len(lengths) > 1:
        raise UserError(
            f"the lists in {column!r} of {where} have {min(lengths)} to {max(lengths)} values",
            "vectors of one length are needed",
        )
    try:
        return np.array([np.asarray(v, np.float32) for v in values])  # (n, F)
    except (TypeError, ValueError) as error:
        raise UserError(f"the lists in {column!r} of {where} hold more than numbers", "numbers only") from error
