"""The user's own feature matrix, a row for every row of the dataset."""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..data.arrays import array, names
from ..data.files import located, read
from ..data.source import Source
from ..errors import UserError
from ..registry import encoder
from .encoder import Encoder, Work, blocks

SUFFIXES = (".npy", ".npz", ".safetensors", ".parquet")


@encoder
def file(source: Source, *, path: str | None, key: str | None, test_path: str | None, test_key: str | None) -> Encoder:
    """The numbers of `path`, as they are; test rows from `test_path` or `test_key`, else from the same matrix."""
    if path is None:
        raise UserError("encoder=file needs encoder.path", f"a file that ends in {', '.join(SUFFIXES)}")
    first = located(path, "encoder.path")
    second = located(test_path, "encoder.test_path") if test_path else first
    parts = [(first, key)] + ([(second, test_key or key)] if test_path or test_key else [])
    kept = [_kept(p, k, p.stat().st_mtime_ns) for p, k in parts]
    _check([(matrix, p.name) for (matrix, _), (p, _) in zip(kept, parts, strict=True)], source)

    def work(device: str) -> Work:
        matrix = np.concatenate([_kept(p, k, p.stat().st_mtime_ns)[0] for p, k in parts])  # (n, F)
        return Work(matrix.shape[1], blocks(len(source), 4096), lambda rows: matrix[rows], light=True)

    return Encoder({"method": "file", "files": [digest for _, digest in kept], "keys": [k for _, k in parts]}, work)


@lru_cache(maxsize=2)  # the cells of a sweep share it, and none of them holds a copy
def _kept(path: Path, key: str | None, changed: int) -> tuple[np.ndarray, str]:
    """A matrix and the hash of its file, whose time of change tells one version from the next."""
    return matrix_of(path, key), sha256(path.read_bytes()).hexdigest()


def _check(parts: list[tuple[np.ndarray, str]], source: Source) -> None:
    """Matrices that together have a finite row for every row of the source."""
    n, t = len(source), len(source.test)
    follows = len(source.train) == 0 or source.test[0] > source.train[-1]
    wanted = [n] if len(parts) == 1 else [n - t, t]
    if len(parts) == 2 and not follows:
        raise UserError(
            f"the test split of {source.name!r} is cut from its train rows, so features come in one matrix of {n} rows",
            "encoder.test_path=null encoder.test_key=null",
        )
    for (matrix, name), rows in zip(parts, wanted, strict=True):
        if len(matrix) != rows:
            told = f"{n - t} train and {t} test rows" if follows else f"{n} rows"
            raise UserError(
                f"{name} has features for {len(matrix)} rows, {source.name!r} has {told}: {rows} are needed here",
                "one row of features for each row of the dataset, in its order",
            )
    if len({matrix.shape[1] for matrix, _ in parts}) > 1:
        widths = " and ".join(str(matrix.shape[1]) for matrix, _ in parts)
        raise UserError(f"train and test features have {widths} columns", "the same columns in both")
    for matrix, name in parts:
        wrong = ~np.isfinite(matrix)
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            raise UserError(
                f"{name}: {int(wrong.sum())} features are missing or infinite, first in row {row}", "fill them in"
            )


def matrix_of(path: Path, key: str | None) -> np.ndarray:
    """(n, F) float32 from a file: its array `key`, or the only one it has."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path.name}: features come from {', '.join(SUFFIXES)} files", "np.save(PATH, matrix)")
    if suffix == ".npz":
        values = array(path, _only(names(path), key, path), "encoder.key")
    elif suffix == ".npy":
        try:
            values = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise UserError(
                f"{path.name} is not a readable array of numbers", "np.save(PATH, matrix) writes one"
            ) from error
    elif suffix == ".safetensors":
        values = _safetensors(path, key)
    else:
        from ..data.columns import content

        found = content(read(path), key, "", path.name, path.parent)
        if found.kind != "table":
            raise UserError(f"{key!r} of {path.name} holds {found.kind} items", "numeric columns, or one of lists")
        values = np.asarray(found.items)
    if values.ndim != 2 or values.dtype.kind not in "iufb":
        raise UserError(
            f"the features in {path.name} have shape {values.shape} of {values.dtype}",
            "numbers of shape (rows, columns)",
        )
    return values.astype(np.float32)


def _only(known: list[str], key: str | None, path: Path) -> str:
    if key is None and len(known) != 1:
        raise UserError(f"{path.name} has {len(known)} arrays: {', '.join(known)}", "encoder.key=NAME of one")
    return known[0] if key is None else key


def _safetensors(path: Path, key: str | None) -> np.ndarray:
    from safetensors import SafetensorError, safe_open

    from ..data.columns import demand

    try:
        with safe_open(path, framework="pt") as tensors:
            known = list(tensors.keys())
            name = _only(known, key, path)
            demand(name, known, path.name, "encoder.key")
            return tensors.get_tensor(name).float().numpy()
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path.name} is not a readable safetensors file: {error}", "safetensors.torch.save_file"
        ) from error
