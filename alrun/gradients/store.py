"""Gradients of many items on disk, item by item: what was written before a kill is not computed again.

A store is a folder: `rows.npy` (n, width), `done.npy` (n,) which rows are whole, and `about.json`, what they are of. A
row is marked after it is written; the folder appears whole, with nothing done yet, by a rename.
"""

import json
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..numerics.reduction import WHOLE, Reduction
from ..types import Gradients, Part


def stored(
    folder: Path,
    gradients: Gradients,
    part: Part,
    idx: Tensor,
    labels: Tensor,
    *,
    about: Mapping[str, Any],
    reduction: Reduction = WHOLE,
    dtype: type = np.float32,
) -> np.ndarray:
    """(n, width) what is kept of these items' gradients, memory-mapped read-only; what is there is not computed again.

    `about` says what the caller knows of them, JSON-able: with the parameters, the items, the labels and the reduction
    it tells one store from another (of matrices to project with `about` must tell: their entries are not read). A
    reduction comes before rounding to `dtype`: plain gradients of adapters are often below the smallest half-precision
    number.
    """
    width = reduction.width(len(gradients.parameters()))
    described = _described(gradients, part, idx, labels, about) | {"reduction": _in_words(reduction)}
    rows, done = _opened(folder, len(idx), width, dtype, described)
    left = torch.from_numpy(np.flatnonzero(~done)).to(idx.device)  # (m,) positions in idx
    for at, kept in gradients.vectors(part, idx[left], labels[left], reduction):
        places = left[at].cpu().numpy()
        rows[places] = kept.detach().cpu().numpy().astype(dtype)
        rows.flush()
        done[places] = True
        done.flush()
    del rows, done
    return np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)


def _described(
    gradients: Gradients, part: Part, idx: Tensor, labels: Tensor, about: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "names": list(gradients.names()),
        "parameters": _digest(gradients.parameters()),
        "part": part,
        "items": _digest(idx),
        "labels": _digest(labels),
        "about": dict(about),
    }


def _in_words(reduction: Reduction) -> dict[str, Any]:
    said, given = reduction.told()
    projection = type(reduction.sketch).__name__ if reduction.sketch is not None else None
    return {**said, **{name: _digest(values) for name, values in given.items()}, "projection": projection}


def _digest(values: Tensor) -> str:
    return sha256(values.detach().contiguous().cpu().numpy().tobytes()).hexdigest()


def _opened(folder: Path, n: int, width: int, dtype: type, described: Mapping[str, Any]) -> tuple[np.memmap, np.memmap]:
    """Rows and marks, to be written to. Raises UserError where the folder holds something else."""
    described = json.loads(json.dumps({**described, "shape": [n, width], "dtype": np.dtype(dtype).name}))
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        for name, kind, shape in (("rows", dtype, (n, width)), ("done", np.bool_, (n,))):
            np.lib.format.open_memmap(new / f"{name}.npy", mode="w+", dtype=kind, shape=shape).flush()
        (new / "about.json").write_text(json.dumps(described))
        try:
            new.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(new)
    try:
        known = json.loads((folder / "about.json").read_text())
        rows, done = (np.lib.format.open_memmap(folder / f"{name}.npy", mode="r+") for name in ("rows", "done"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is no store of gradients: {error}", "remove it, or name another folder") from error
    if known != described:
        key = next(key for key in described if known.get(key) != described[key])
        raise UserError(
            f"{folder} holds other gradients: {key} is not what it was", "remove it, or name another folder"
        )
    return rows, done
