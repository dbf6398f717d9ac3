"""The user's own data: CSV, TSV, JSON lines, Parquet or NPZ."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..config import DatasetConfig
from ..errors import UserError
from ..registry import dataset
from .arrays import arrays
from .assemble import SHARE, Rows, assemble, fraction
from .columns import content, demand
from .scale import scale
from .source import Source

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@dataset
def files(cfg: DatasetConfig) -> Source:
    """One or two files: dataset.train, and dataset.test as another file or as a share of the first."""
    for key in ("path", "config", "revision"):
        if getattr(cfg, key) is not None:
            raise UserError(f"dataset.{key} is not used by files", "it belongs to dataset=hub")
    for key in ("train", "label"):
        if getattr(cfg, key) is None:
            raise UserError(f"dataset=files needs dataset.{key}", "dataset.train=PATH dataset.label=COLUMN")
    train, test = located(str(cfg.train), "dataset.train"), _test(cfg.test)
    if train.suffix.lower() == ".npz":
        return arrays(cfg, train, test)
    for key in ("test_input", "test_label"):
        if getattr(cfg, key) is not None:
            raise UserError(
                f"dataset.{key}={getattr(cfg, key)} is for NPZ files", "dataset.test=PATH names a test file"
            )
    frame = read(train)
    label = str(cfg.label)
    _demand_columns(frame, train)
    first = _content(train, frame, cfg.input, label)
    rows = Rows(first.items, _labels(frame, label, train.name))
    if not isinstance(test, Path):
        return assemble(
            cfg.name,
            first.kind,
            rows,
            share=test,
            columns=first.columns,
            notes=_counters(rows.items, first),
            graded=scale(cfg),
            unlabelled=cfg.unlabelled,
        )
    other = read(test)
    same = list(first.columns) if first.columns and not isinstance(cfg.input, str) else cfg.input
    second = _content(test, other, same, label)
    if second.kind != first.kind:
        raise UserError(
            f"{train.name} has {first.kind} items, {test.name} has {second.kind} items in {cfg.input!r}",
            "both files need the same kind of column",
        )
    held = Rows(second.items, _labels(other, label, test.name))
    notes = _counters(rows.items, first)
    return assemble(
        cfg.name,
        first.kind,
        rows,
        held,
        columns=first.columns,
        notes=notes,
        graded=scale(cfg),
        unlabelled=cfg.unlabelled,
    )


def located(text: str, option: str) -> Path:
    """The absolute path of a file that exists."""
    path = Path(text).expanduser().resolve()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"{option}={text} {what}", f"looked for the file {path}")
    return path


def _test(text: str | None) -> Path | float:
    """A file, or the share to cut from the train rows."""
    if text is None:
        return SHARE
    try:
        float(text)
    except ValueError:
        return located(text, "dataset.test")
    return fraction(text, "dataset=files")


def read(path: Path) -> Any:
    """A DataFrame of the rows of a table file."""
    import pandas as pd

    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise UserError(
            f"{path.name}: alrun does not read {suffix or 'files without an ending'}",
            f"one of {' '.join(TABLES)} .npz",
        )
    try:
        if suffix in (".csv", ".tsv"):
            return pd.read_csv(path, sep=_separator(path))
        if suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.DataFrame([_object(line, n, path) for n, line in _lines(path)])
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path.name} is not UTF-8: {error.reason} at byte {error.start}", "save it as UTF-8"
        ) from error
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parsers derive theirs from these
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path.name} cannot be read: {reason}", f"is it really {suffix[1:]}?") from error


def _demand_columns(frame: Any, path: Path) -> None:
    """UserError for one column whose name holds what other programs set between columns."""
    for sign, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(frame.columns) == 1 and sign in str(frame.columns[0]) and path.suffix.lower() in (".csv", ".tsv"):
            ways = "tabs: name it .tsv" if sign == "\t" else "save it with commas between the columns"
            raise UserError(f"{path.name} has {called} between its columns, not {_called(path)}", ways)


def _called(path: Path) -> str:
    return "tabs" if path.suffix.lower() == ".tsv" else "commas"


def _separator(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _lines(path: Path) -> list[tuple[int, str]]:
    text = path.read_text(encoding="utf-8-sig")
    return [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]


def _object(line: str, number: int, path: Path) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{path.name} line {number} is not JSON: {error.msg}", "one object a line") from error
    if not isinstance(row, dict):
        raise UserError(f"{path.name} line {number} is not an object", 'one object a line: {"text": ..., "label": ...}')
    return row


def _content(path: Path, frame: Any, wanted: Any, label: str):
    if not len(frame):
        raise UserError(f"{path.name} has no rows", "is it the right file?")
    named = [str(c) for c in frame.columns]
    wanted = wanted if wanted is None or isinstance(wanted, list | tuple) else str(wanted)
    if isinstance(wanted, list | tuple) and len(wanted) == 1 and str(wanted[0]) in named:
        wanted = str(wanted[0])
    texts = [wanted] if isinstance(wanted, str) else [str(c) for c in wanted or ()]
    if len(texts) in (1, 2) and path.suffix.lower() in (".csv", ".tsv") and set(texts) <= set(named):
        from pandas import read_csv
        from pandas.api.types import is_numeric_dtype

        if not any(is_numeric_dtype(frame[frame.columns[named.index(c)]].dtype) for c in texts):
            # Again, as plain words: "None" and "NA" are texts too, and an empty field is an empty text.
            words = read_csv(path, sep=_separator(path), usecols=texts, dtype=str, keep_default_na=False)
            frame = frame.assign(**{c: words[c].astype(object) for c in texts})
    return content(frame, wanted, label, path.name, path.parent)


def _labels(frame: Any, label: str, where: str) -> np.ndarray:
    named = [str(c) for c in frame.columns]
    demand(label, named, where, "dataset.label")
    series = frame[frame.columns[named.index(label)]]
    return series.to_numpy() if series.dtype.kind in "iufb" else series.to_numpy(object)


def _counters(items: Any, first: Any) -> list[str]:
    """A warning about columns that only number the rows."""
    if first.kind != "table":
        return []
    n = np.arange(len(items), dtype=np.float32)
    found = [
        c for c, values in zip(first.columns, items.T, strict=False) if n.size > 2 and (np.diff(values) == 1).all()
    ]
    return [f"column {c!r} only counts the rows: leave it out of dataset.input" for c in found]
