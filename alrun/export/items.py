"""The items a run chose, as an annotation tool takes them."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.source import Source
from ..errors import UserError
from ..rundir import RunDir

COLUMNS = ("id", "order", "cycle", "score", "item", "label")


def write_selected(folder: Path, out: Path) -> list[Path]:
    """selected.csv and selected.jsonl of a run: every bought item in the order it was chosen, with the oracle's label.

    `id` is the row in the dataset, `score` the strategy's own. Pictures are written beside, `item` names them. Raises
    UserError where the dataset cannot be loaded or has changed.
    """
    from ..data import load
    from ..prepare import load_run

    run, home = load_run(folder), RunDir(folder)
    if not home.selections():
        raise UserError("it has bought nothing yet", f"alrun resume {folder}")
    source = load(run.dataset, run.plugins)
    known = home.provenance().get("fingerprint")
    if known != source.fingerprint:
        raise UserError(
            f"the data of {folder} have changed since it began ({str(known)[:8]} then, {source.fingerprint[:8]} now)",
            "bring the data back, or run again",
        )
    rows: list[dict[str, Any]] = []
    for cycle, batch in enumerate(home.selections()):
        for row, label, score in zip(batch.rows, batch.labels, batch.scores, strict=True):
            about = {"id": row, "order": len(rows), "cycle": cycle, "score": score}
            rows.append(about | {"item": shown(source, row, out), "label": source.classes[label]})
    out.mkdir(parents=True, exist_ok=True)
    written = {"selected.csv": csv_text(rows, COLUMNS), "selected.jsonl": jsonl_text(rows)}
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8", newline="")
    return [out / name for name in written]


def shown(source: Source, row: int, out: Path) -> Any:
    """An item as JSON can hold it; a picture becomes a file below `out`, unless it is one already."""
    if source.kind == "image":
        encoded = getattr(source.items, "encoded", None)
        if encoded is not None and isinstance(encoded[row], Path):
            return str(encoded[row])
        from PIL import Image

        path = out / "items" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(source.items[row])).save(path)
        return f"items/{row}.png"
    item = source.items[row]
    if isinstance(item, np.ndarray):
        numbers = [round(float(value), 6) for value in item]
        return dict(zip(source.columns, numbers, strict=True)) if len(source.columns) == len(numbers) else numbers
    return item if isinstance(item, str) else list(item)


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """A table; what is no text or number stands in it as JSON."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(_cells(row, columns) for row in rows)
    return file.getvalue()


def _cells(row: Mapping[str, Any], columns: Sequence[str]) -> Iterator[Any]:
    for name in columns:
        value = row[name]
        yield json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def jsonl_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """One object a line."""
    return "".join(json.dumps(dict(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
