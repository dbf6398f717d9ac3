"""Features on disk, by content: computed once, whoever asks, however often it is interrupted.

$ALRUN_CACHE/features/<key>/ holds features.npy and, once that is whole, features.json. While it is being computed there
are features.part and progress.json instead. <key>.lock beside the folder is held by whoever computes.
"""

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..data.source import Source
from ..errors import REFUSALS, RunFailed, UserError
from ..processes import Pass, crew
from .encoder import Encoder, Work

SYNC_S = 2.0  # work that a kill may cost
MORE_REFUSALS = {
    errno.ENOLCK: "the file system cannot lock files",
    errno.EOPNOTSUPP: "the file system cannot lock files",
    errno.ENOTDIR: "a file is in the place of a folder",
    errno.EEXIST: "a file is in the place of a folder",
}
Report = Callable[[int, int], None]  # (items done, items in all)


def root() -> Path:
    """$ALRUN_CACHE, or ~/.cache/alrun."""
    return Path(os.environ.get("ALRUN_CACHE") or "~/.cache/alrun").expanduser().resolve()


def key(source: Source, encoder: Encoder) -> str:
    """The name of these features: a hash of what they are computed from."""
    content = {"version": 1, "source": source.fingerprint, "encoder": dict(encoder.identity)}
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def features(
    source: Source,
    encoder: Encoder,
    report: Report | None = None,
    *,
    device: str = "cpu",
    waiting: Callable[[str], None] | None = None,
) -> np.ndarray:
    """(n, F) float32, read-only, memory-mapped: a row for every row of the source, computed only if not cached.

    `report` is called as work goes on, `waiting` once with a message if another process is computing the same.
    """
    folder = root() / "features" / key(source, encoder)
    with _translated(folder):
        found = _read(folder)
        if found is None:
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder, waiting):
                found = _read(folder)
                if found is None:
                    _compute(folder, source, encoder, report, device)
                    found = _read(folder)
    assert found is not None
    return found


def width(source: Source, encoder: Encoder) -> int | None:
    """F of the cached features, or None where they are not cached yet."""
    try:
        return int(json.loads((root() / "features" / key(source, encoder) / "features.json").read_text())["columns"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _read(folder: Path) -> np.ndarray | None:
    """The finished features of a folder, or None; UserError if they are not what was written."""
    about = folder / "features.json"
    data = folder / "features.npy"
    try:
        said = json.loads(about.read_text())
        size, digest = int(said["bytes"]), str(said["sha256"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise _corrupt(about, "is not readable") from error
    if not data.is_file():
        raise _corrupt(data, "is gone")
    if data.stat().st_size != size:
        raise _corrupt(data, f"has {data.stat().st_size} bytes, {size} were written")
    if _hash(data) != digest:
        raise _corrupt(data, "does not have the content that was written")
    return np.load(data, mmap_mode="r", allow_pickle=False)


def _corrupt(path: Path, what: str) -> UserError:
    return UserError(f"cached features are damaged: {path} {what}", "alrun cache --clear, then run again")


def _compute(folder: Path, source: Source, encoder: Encoder, report: Report | None, device: str) -> None:
    work = encoder.start(device)
    head = BytesIO()
    shape = (len(source), work.width)
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
    header = head.getvalue()
    size = len(header) + 4 * shape[0] * shape[1]
    part, progress = folder / "features.part", folder / "progress.json"
    done = _progress(part, progress, size, len(work.batches))
    handle = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not done:
            os.ftruncate(handle, 0)
            os.posix_fallocate(handle, 0, size)  # a full disk shows now, not in the middle
            os.pwrite(handle, header, 0)
        _encode(handle, len(header), work, done, len(source), report, progress, size)
        os.fsync(handle)
    finally:
        os.close(handle)
    about = {
        "source": source.name,
        "encoder": dict(encoder.identity),
        "rows": shape[0],
        "columns": shape[1],
        "bytes": size,
        "sha256": _hash(part),
    }
    os.replace(part, folder / "features.npy")
    _write(folder / "features.json", about)
    progress.unlink(missing_ok=True)


def _progress(part: Path, progress: Path, size: int, batches: int) -> int:
    """How many batches an interrupted attempt has finished."""
    try:
        said = json.loads(progress.read_text())
        fits = said["bytes"] == size == part.stat().st_size and said["batches"] == batches
        return int(said["done"]) if fits and 0 <= int(said["done"]) <= batches else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _encode(
    handle: int, offset: int, work: Work, done: int, n: int, report: Report | None, progress: Path, size: int
) -> None:
    items = sum(len(rows) for rows in work.batches[:done])
    synced = time.monotonic()
    if report:
        report(items, n)
    blocks = crew().shared("encode", {"done": done}, {}, encoding(work, done))
    for number, (rows, (vectors,)) in enumerate(blocks, start=done + 1):
        block = vectors.numpy().astype("<f4", copy=False)  # (b, F)
        assert block.shape == (len(rows), work.width), f"{block.shape} for {len(rows)} rows of {work.width}"
        if not np.isfinite(block).all():
            bad = int(rows[~np.isfinite(block).all(axis=1)][0])
            raise RunFailed(f"the encoder gives values that are not finite for row {bad}: try dtype=float32")
        _scatter(handle, offset, rows, block)
        items += len(rows)
        if time.monotonic() - synced > SYNC_S:
            os.fsync(handle)
            _write(progress, {"bytes": size, "batches": len(work.batches), "done": number})
            synced = time.monotonic()
        if report:
            report(items, n)


def encoding(work: Work, done: int) -> Pass:
    """What is left of an encoder's work after `done` batches, as processes share it."""
    import torch

    def compute(rows: np.ndarray) -> list[torch.Tensor]:
        return [torch.from_numpy(np.ascontiguousarray(work.encode(rows), np.float32))]  # (b, F)

    return Pass(work.batches[done:], compute, work.light)


def _scatter(handle: int, offset: int, rows: np.ndarray, block: np.ndarray) -> None:
    """Write each row to its place; neighbours in one go."""
    width = block.shape[1] * 4
    ends = np.flatnonzero(np.diff(rows) != 1) + 1
    for first, last in zip([0, *ends], [*ends, len(rows)], strict=True):
        data, place = block[first:last].tobytes(), offset + int(rows[first]) * width
        while data:
            written = os.pwrite(handle, data, place)
            data, place = data[written:], place + written


def _write(path: Path, value: dict[str, Any]) -> None:
    """JSON, all or nothing, on disk when this returns."""
    draft = path.with_suffix(".tmp")
    with draft.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _locked(folder: Path, waiting: Callable[[str], None] | None) -> Iterator[None]:
    """Only one process computes; the kernel releases the lock of a killed one."""
    with folder.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                waiting("another process is computing the same features: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        folder.mkdir(parents=True, exist_ok=True)  # a clear may have come in between
        yield


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """What the operating system refuses, as one sentence with the way out."""
    try:
        yield
    except OSError as error:
        refused = REFUSALS.get(error.errno or 0) or MORE_REFUSALS.get(error.errno or 0)
        if refused is None:
            raise
        raise RunFailed(
            f"features cannot be cached below {folder.parent}: {refused}. "
            "Make room, or name another folder in ALRUN_CACHE; finished batches are kept"
        ) from error


@dataclass(frozen=True)
class Entry:
    """One thing in the cache."""

    kind: str  # features, maps, ...
    name: str
    path: Path
    bytes: int
    modified: float  # seconds since 1970
    about: str  # "bbc_news by minilm, 2225 x 384", or "unfinished"


def list_cache() -> list[Entry]:
    """All that $ALRUN_CACHE holds, newest first."""
    found = []
    for kind in sorted(p for p in root().glob("*") if p.is_dir()):
        for path in kind.iterdir():
            if path.suffix != ".lock":
                files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
                stats = [p.stat() for p in files]
                modified = max((s.st_mtime for s in stats), default=path.stat().st_mtime)
                size = sum(s.st_size for s in stats)
                found.append(Entry(kind.name, path.name, path, size, modified, _about(path)))
    return sorted(found, key=lambda entry: (-entry.modified, entry.name))


def _about(path: Path) -> str:
    if not path.is_dir():
        return ""
    if path.parent.name == "models":
        return "unfinished" if path.suffix == ".part" else "a language model read from GGUF"
    try:
        said = json.loads((path / "features.json").read_text())
        return f"{said['source']} by {said['encoder']['method']}, {said['rows']} x {said['columns']}"
    except FileNotFoundError:
        return "unfinished"
    except (ValueError, KeyError, TypeError):
        return "damaged"


def clear_cache() -> list[Entry]:
    """Remove what no process is computing; returns what was removed."""
    removed = []
    for entry in list_cache():
        if entry.path.is_file():
            entry.path.unlink(missing_ok=True)
            removed.append(entry)
            continue
        with entry.path.with_suffix(".lock").open("w") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(entry.path)
            removed.append(entry)
    return removed
