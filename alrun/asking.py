"""Labels from people (oracle=file): a run writes each batch down, stops, and goes on when the batch is answered.

A cycle that waits for its labels is kept whole in held.npz, so nothing is computed again: once the labels are there it
is committed with them, and its files have the bytes that a run with the same answers at hand would write.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from .data.source import Source
from .data.split import Dataset
from .errors import UserError, Waiting, nearest
from .export.items import COLUMNS, csv_text, jsonl_text, shown
from .rundir import Bought, RunDir
from .types import Cycle

FOLDER, HELD = "annotation", "held.npz"


def answers(home: RunDir, dataset: Dataset) -> np.ndarray:
    """(N,) int64 what people have said about the pool so far; -1 where they were not asked."""
    position = {int(row): index for index, row in enumerate(dataset.pool)}
    told = np.full(len(dataset.pool), -1, np.int64)
    for batch in home.selections():
        told[[position[row] for row in batch.rows]] = batch.labels
    return told


def hold(home: RunDir, source: Source, cycle: Cycle, costs: Mapping[str, Any], rows: np.ndarray) -> None:
    """Keep a cycle whose batch (`rows` of the source) has no labels yet, and write the batch down for people."""
    assert cycle.selection is not None
    scores = cycle.selection.scores.double().cpu().numpy()  # (n,) NaN where there is none
    said = {"metrics": np.array(json.dumps(dict(cycle.metrics))), "costs": np.array(json.dumps(dict(costs)))}
    kept = {f"predictions/{name}": array for name, array in cycle.predictions.items()}
    files = {f"files/{name}": np.frombuffer(content, np.uint8) for name, content in cycle.files.items()}
    _write_down(home, source, cycle.index, rows, scores)
    home.write_arrays(HELD, {"rows": rows, "scores": scores} | said | kept | files)


def settle(home: RunDir, source: Source) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Commit the held cycle with the labels that people gave; its metrics and costs, or None where none is held.

    Raises Waiting where nobody has answered yet, UserError where the answers are incomplete or not of this dataset.
    """
    try:
        with np.load(home.path / HELD, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except (ValueError, OSError, EOFError, KeyError, BadZipFile) as error:
        raise UserError(f"{home.path / HELD} is damaged", "delete it: the cycle is computed again") from error
    metrics, costs = (json.loads(str(held[name])) for name in ("metrics", "costs"))
    cycle = int(metrics["cycle"])
    if cycle != len(home.metrics()):  # it was committed, and the end came before it could be removed
        home.remove(HELD)
        return None
    _write_down(home, source, cycle, held["rows"], held["scores"])  # a file may have been lost meanwhile
    rows = held["rows"].tolist()
    bought = Bought(rows, _read(home, source, cycle, rows), [None if s != s else s for s in held["scores"].tolist()])
    predictions = {name.partition("/")[2]: array for name, array in held.items() if name.startswith("predictions/")}
    files = {name.partition("/")[2]: array.tobytes() for name, array in held.items() if name.startswith("files/")}
    home.commit(cycle, metrics, costs, bought, predictions, files)
    home.remove(HELD)
    return metrics, costs


def paths(home: RunDir, cycle: int) -> tuple[Path, Path]:
    """Where a batch is written down: as a table, and as JSON lines. Answers may stand in either."""
    return home.path / FOLDER / f"cycle_{cycle:03d}.csv", home.path / FOLDER / f"cycle_{cycle:03d}.jsonl"


def _write_down(home: RunDir, source: Source, cycle: int, rows: np.ndarray, scores: np.ndarray) -> None:
    """The batch, with an empty label for each item. A file that is there, people may have written into: it stays."""
    if all(path.exists() for path in paths(home, cycle)):
        return
    out = home.path / FOLDER
    batch = [
        {"id": row, "order": order, "cycle": cycle, "score": None if score != score else score, "label": ""}
        | {"item": shown(source, row, out)}
        for order, (row, score) in enumerate(zip(rows.tolist(), scores.tolist(), strict=True))
    ]
    for path, text in zip(paths(home, cycle), (csv_text(batch, COLUMNS), jsonl_text(batch)), strict=True):
        if not path.exists():
            home.write(f"{FOLDER}/{path.name}", text.encode())


def _read(home: RunDir, source: Source, cycle: int, rows: list[int]) -> list[int]:
    """The classes of the rows of a batch, in its order, from the table and the JSON lines."""
    wanted, number = set(rows), {name: c for c, name in enumerate(source.classes)}
    said: dict[int, str] = {}
    table, lines = paths(home, cycle)
    for path, read in ((table, _table), (lines, _objects)):
        for row, label in read(path):
            if not label:
                continue
            if row not in wanted:
                raise UserError(
                    f"{path} answers for id {row}, which is not in the batch of cycle {cycle}",
                    "only ids of this batch: remove the other lines",
                )
            if label not in number:
                raise UserError(
                    f"{path}: {label!r} (id {row}) is no class of {source.name}",
                    *nearest(label, source.classes),
                    f"one of {', '.join(source.classes[:20])}",
                )
            if said.setdefault(row, label) != label:
                raise UserError(f"{path} says {label!r} for id {row}, which was {said[row]!r} before", "keep one")
    if not said:
        raise Waiting(home.path, table, len(rows))
    if absent := [row for row in rows if row not in said]:
        raise UserError(
            f"{table}: {len(absent)} of {len(rows)} labels are missing, first for id {absent[0]}", "answer them all"
        )
    return [number[said[row]] for row in rows]


def _table(path: Path) -> Iterator[tuple[int, str]]:
    """(id, label) of each line of a CSV."""
    if not path.exists():
        return
    reader = csv.DictReader(io.StringIO(_text(path), newline=""))
    if not {"id", "label"} <= set(reader.fieldnames or ()):
        raise UserError(f"{path} has no columns id and label", f"it has {', '.join(reader.fieldnames or ())}")
    for number, line in enumerate(reader, 2):
        yield _pair(line, path, number)


def _objects(path: Path) -> Iterator[tuple[int, str]]:
    """(id, label) of each line of a JSON-lines file."""
    if not path.exists():
        return
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            try:
                found = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path} line {number} is not JSON", "one object a line") from error
            yield _pair(found if isinstance(found, dict) else {}, path, number)


def _text(path: Path) -> str:
    """What people saved, as UTF-8 with or without a byte order mark."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#x}", "save it as UTF-8 (CSV UTF-8)"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "it has to be a file that you may read") from error


def _pair(line: Mapping[str, Any], path: Path, number: int) -> tuple[int, str]:
    """The id and the label of a line; spreadsheets may write the id 30 as 30.0."""
    said = line.get("id")
    try:
        row = float(said)  # type: ignore[arg-type]
        if not row.is_integer():
            raise ValueError
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{path} line {number} has {'no id' if said is None else f'{said!r} as its id'}",
            "id is the number that the batch came with",
        ) from error
    label = line.get("label")
    return int(row), "" if label is None else str(label).strip()
