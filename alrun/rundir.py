"""One run in one folder: the only module that writes run files.

A cycle is committed when its line stands in metrics.jsonl. Its predictions, costs and selections are on the disk
before that, and `repair` drops whatever a kill left half-written, so a run continues from its last whole cycle.
"""

import contextlib
import fcntl
import io
import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import REFUSALS, RunFailed, UserError
from .kept import damages, record

SCHEMA = 1
COLUMNS = "cycle,rank,index,label,score"
MODELS = "models.json"  # what was written of saved models
MODEL = re.compile(r"cycle_(\d{3,})")
PREDICTIONS = re.compile(r"cycle_(\d{3,})\.npz(?:\.partial)?")
PATIENCE = 20, 0.05  # tries and seconds between them: whoever only looks at a folder holds its lock for an instant


@dataclass(frozen=True)
class Bought:
    """One acquired batch, as selections.csv keeps it."""

    rows: list[int]  # rows of the source
    labels: list[int]  # what the oracle answered
    scores: list[float | None]


class RunDir:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # -- reading ------------------------------------------------------------------------------------------------

    def metrics(self) -> list[dict[str, Any]]:
        """The committed cycles' metrics, in order."""
        return _json_lines(self.path / "metrics.jsonl")[0]

    def costs(self) -> list[dict[str, Any]]:
        """Seconds and memory of each committed cycle."""
        return _json_lines(self.path / "costs.jsonl")[0][: len(self.metrics())]

    def provenance(self) -> dict[str, Any]:
        """run.json, or an empty dict where there is none. Raises UserError if a newer alrun wrote it."""
        try:
            found = json.loads(_plain(self.path / "run.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        if not isinstance(found, dict) or "schema" not in found:
            raise UserError(f"{self.path} is no run: its run.json is not alrun's", "name another folder")
        schema = found["schema"]
        if not isinstance(schema, int) or schema > SCHEMA:
            raise UserError(
                f"{self.path} was written in schema {schema}, this alrun knows schema {SCHEMA}",
                "update alrun, or choose another runs_dir",
            )
        return found

    def selections(self) -> list[Bought]:
        """The acquired batches, one per committed cycle that bought something."""
        return _batches(self.path / "selections.csv")[0]

    def without_model(self) -> list[int]:
        """Committed cycles whose model was not kept."""
        recorded, every = self._models(), range(len(self.metrics()))
        folders = {cycle: self.path / _model(cycle) for cycle in every if _name(cycle) not in recorded}
        return [cycle for cycle, folder in folders.items() if not folder.is_dir() or not any(folder.iterdir())]

    def damaged_models(self) -> list[str]:
        """What has become of files of kept models since they were written; older folders have no record of them."""
        recorded = self._models()
        return [what for name, files in recorded.items() for what in damages(self.path / "models" / name, files)]

    def _models(self) -> dict[str, Any]:
        """Of committed cycles' models, the names of their folders -> what is recorded of their files."""
        try:
            found = json.loads(_plain(self.path / MODELS).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        names = map(_name, range(len(self.metrics())))
        return {name: found[name] for name in names if name in found} if isinstance(found, dict) else {}

    def summary(self) -> dict[str, Any] | None:
        """summary.json of a finished run, else None."""
        try:
            found = json.loads(_plain(self.path / "summary.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def begun(self) -> bool:
        """Whether a model has been at work: a cycle is committed, or a batch waits for its labels."""
        return bool(self.metrics()) or (self.path / "held.npz").exists()

    def locked(self) -> bool:
        """Whether a process is at work in this folder."""
        try:
            with open(self.path / ".lock") as handle:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # there is none, or this file system cannot lock: nobody is at work
            return False
        return False

    def status(self) -> str:
        """done, running, asking (for labels), failed or killed: computed from the files, never stored."""
        summary = self.summary()
        if summary is not None and _told(summary) in (0, len(self.metrics())):
            return "done"
        if self.locked():
            return "running"
        if self.provenance().get("error"):
            return "failed"
        return "asking" if (self.path / "held.npz").exists() else "killed"

    # -- writing ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder. Raises RunFailed if another process does."""
        with translated(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            handle = (self.path / ".lock").open("a")
        with handle:
            tries, pause = PATIENCE
            for attempt in range(tries):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if attempt == tries - 1:
                        raise RunFailed(f"another process is at work in {self.path}") from None
                    time.sleep(pause)
                except OSError as error:
                    raise RunFailed(f"{self.path}: this file system cannot lock files ({error.strerror})") from error
            yield

    def clear(self) -> None:
        """Forget everything but the lock, and the labels that people gave."""
        with translated(self.path):
            for entry in self.path.iterdir():
                if entry.name == "annotation":
                    continue
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name != ".lock":
                    entry.unlink()

    def forget(self, above: Path) -> None:
        """Take the folder away, and those between it and `above` that this leaves empty; labels from people stay."""
        with self.lock():
            if self.metrics():
                return  # another process got further
            self.clear()
            (self.path / ".lock").unlink()
        for folder in (self.path, *self.path.parents):
            if folder == above or any(folder.iterdir()):
                return
            folder.rmdir()

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file whole or not at all."""
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        self.write(name, text.encode())

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write an .npz whole or not at all."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        self.write(name, buffer.getvalue())

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        target = self.path / name
        partial = target.with_name(target.name + ".partial")
        with translated(self.path):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with open(partial, "wb") as handle:
                    handle.write(content)
                    _to_disk(handle)
                partial.replace(target)
            except BaseException:  # an interrupt too
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)
                raise

    def remove(self, name: str) -> None:
        """Forget a file."""
        with translated(self.path):
            (self.path / name).unlink(missing_ok=True)

    def repair(self) -> int:
        """Drop everything that does not belong to a whole cycle; the number of whole cycles."""
        metrics, metric_ends = _json_lines(self.path / "metrics.jsonl")
        costs, cost_ends = _json_lines(self.path / "costs.jsonl")
        batches, batch_ends = _batches(self.path / "selections.csv")
        whole = 0
        for cycle, line in enumerate(metrics[: len(costs)]):
            size = len(batches[cycle].rows) if cycle < len(batches) else 0
            if (line.get("cycle"), line.get("n_acquired"), costs[cycle].get("cycle")) != (cycle, size, cycle):
                break
            if not zipfile.is_zipfile(self.path / _predictions(cycle)):
                break
            whole += 1
        bought = sum(1 for line in metrics[:whole] if line["n_acquired"])
        with translated(self.path):
            _cut(self.path / "metrics.jsonl", [0, *metric_ends][whole])
            _cut(self.path / "costs.jsonl", [0, *cost_ends][whole])
            _cut(self.path / "selections.csv", [len(COLUMNS) + 1 if whole else 0, *batch_ends][bought])
            for path, cycle in _own(self.path / "predictions", PREDICTIONS):
                if cycle >= whole or path.suffix == ".partial":
                    path.unlink()
            for path, cycle in _own(self.path / "models", MODEL):
                if cycle >= whole and path.is_dir():
                    shutil.rmtree(path)
            if _told(self.summary() or {}) != whole:
                (self.path / "summary.json").unlink(missing_ok=True)
        return whole

    def commit(
        self,
        cycle: int,
        metrics: Mapping[str, Any],
        costs: Mapping[str, Any],
        bought: Bought,
        predictions: Mapping[str, np.ndarray],
        files: Mapping[str, bytes],
    ) -> None:
        """Write one cycle. Whatever happens on the way, the cycles before it stay as they are."""
        rows = "".join(
            f"{cycle},{rank},{row},{label},{'' if score is None else repr(score)}\n"
            for rank, (row, label, score) in enumerate(zip(bought.rows, bought.labels, bought.scores, strict=True))
        )
        self.write_arrays(_predictions(cycle), predictions)
        for name, content in files.items():
            self.write(f"{_model(cycle)}/{name}", content)
        if files or (self.path / MODELS).exists():  # which may tell of this cycle's model before a kill
            self.write_json(MODELS, self._models() | ({_name(cycle): record(files)} if files else {}))
        with translated(self.path):
            table = self.path / "selections.csv"
            header = "" if table.exists() and table.stat().st_size else COLUMNS + "\n"
            _append(self.path / "costs.jsonl", _line(costs))
            _append(table, header + rows)
            _append(self.path / "metrics.jsonl", _line(metrics))


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """An OSError below `path` leaves as a RunFailed that says what to do."""
    try:
        yield
    except OSError as error:
        reason = REFUSALS.get(error.errno or 0, error.strerror or str(error))
        raise RunFailed(f"cannot write in {path}: {reason}") from error


def _told(summary: Mapping[str, Any]) -> int:
    """The cycles that a summary tells of; a metrics.jsonl that was cut afterwards has fewer."""
    return len((summary.get("labels") or {}).get("points") or ())


def _name(cycle: int) -> str:
    return f"cycle_{cycle:03d}"


def _model(cycle: int) -> str:
    return f"models/{_name(cycle)}"


def _predictions(cycle: int) -> str:
    return f"predictions/{_name(cycle)}.npz"


def _own(folder: Path, names: re.Pattern[str]) -> list[tuple[Path, int]]:
    """What a run itself wrote into one of its folders, each with its cycle: other things there are anyone's."""
    matches = [(path, names.fullmatch(path.name)) for path in folder.glob("*")]
    return [(path, int(match[1])) for path, match in matches if match]


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, allow_nan=False) + "\n"


def _to_disk(handle: Any) -> None:
    handle.flush()
    os.fsync(handle.fileno())


def _append(path: Path, text: str) -> None:
    """Append all of `text` or nothing of it."""
    before = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "ab") as handle:
            handle.write(text.encode())
            _to_disk(handle)
    except BaseException:  # an interrupt too
        with contextlib.suppress(OSError):
            os.truncate(path, before)
        raise


def _cut(path: Path, size: int) -> None:
    if path.exists() and path.stat().st_size > size:
        os.truncate(path, size)


def _plain(path: Path) -> Path:
    """The path, to be read at once. Raises UserError for what is there and no file: a pipe would keep its reader."""
    if os.path.lexists(path) and not path.is_file():
        raise UserError(f"{path} is no plain file", "remove it, and give the run's command again")
    return path


def _lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """Whole lines without their newline, each with the offset of its end."""
    try:
        content = _plain(path).read_bytes()
    except FileNotFoundError:
        return
    start = 0
    while (end := content.find(b"\n", start)) >= 0:
        yield content[start:end], end + 1
        start = end + 1


def _json_lines(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The longest sound beginning of a JSON-lines file, and the offset behind each line."""
    values: list[dict[str, Any]] = []
    ends: list[int] = []
    for line, end in _lines(path):
        try:
            value = json.loads(line)
        except ValueError:
            break
        if not isinstance(value, dict) or value.get("cycle") != len(values):
            break
        values.append(value)
        ends.append(end)
    return values, ends


def _batches(path: Path) -> tuple[list[Bought], list[int]]:
    """The longest sound beginning of selections.csv as batches, and the offset behind each."""
    batches: list[Bought] = []
    ends: list[int] = []
    for number, (line, end) in enumerate(_lines(path)):
        if number == 0:
            if line != COLUMNS.encode():
                break
            continue
        try:
            cycle, rank, row, label, score = line.split(b",")
            place, known = (int(cycle), int(rank)), (int(row), int(label), float(score) if score else None)
        except ValueError:
            break
        if place == (len(batches), 0):
            batches.append(Bought([], [], []))
            ends.append(end)
        elif not batches or place != (len(batches) - 1, len(batches[-1].rows)):
            break
        batch = batches[-1]
        batch.rows.append(known[0])
        batch.labels.append(known[1])
        batch.scores.append(known[2])
        ends[-1] = end
    return batches, ends


def below(paths: Sequence[Path]) -> list[Path]:
    """The run folders at or below `paths`, sorted. Raises UserError for a path that does not exist."""
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UserError(f"no such path: {path}", "alrun ls shows the runs below outputs")
        found |= {file.parent for file in path.rglob("run.json")}
    return sorted(found)
