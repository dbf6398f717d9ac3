"""Gradients of many items on disk, item by item: what was written before a kill is not computed again.

A store is a folder: `rows.npy` (n, width), `done.npy` (n,) which rows are whole, and `about.json`, what they are of. A
row is marked after it is written; the folder appears whole, with nothing done yet, by a rename.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..numerics.projections import Projection
from ..types import Gradients, Part


def stored(
    folder: Path,
    gradients: Gradients,
    part: Part,
    idx: Tensor,
    labels: Tensor,
    *,
    about: Mapping[str, Any],
    change: Callable[[Tensor], Tensor] | None = None,
    project: Projection | None = None,
    dtype: type = np.float32,
) -> np.ndarray:
    """(n, width) gradients of these items, memory-mapped read-only; only those that the folder lacks are computed.

    `change` is done to the gradients before they are projected (Adam's direction, say). `about` says what the caller
    knows of them, JSON-able: with the parameters, the items and the labels it tells one store from another. Projecting
    comes before rounding to `dtype`: plain gradients of adapters are often below the smallest half-precision number.
    """
    probe = torch.zeros(1, len(gradients.parameters()), device=labels.device)
    width = (probe if project is None else project(probe)).shape[1]
    rows, done = _opened(folder, len(idx), width, dtype, _described(gradients, part, idx, labels, about))
    left = torch.from_numpy(np.flatnonzero(~done)).to(idx.device)  # (m,) positions in idx
    for at, found in gradients.vectors(part, idx[left], labels[left]):
        changed = found if change is None else change(found)
        small = changed if project is None else project(changed)
        places = left[at].cpu().numpy()
        rows[places] = small.detach().cpu().numpy().astype(dtype)
        rows.flush()
        done[places] = True
        done.flush()
    del rows, done
    return np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)


def _described(
    gradients: Gradients, part: Part, idx: Tensor, labels: Tensor, about: Mapping[str, Any]
) -> dict[str, Any]:
    def digest(values: Tensor) -> str:
        return sha256(values.detach().contiguous().cpu().numpy().tobytes()).hexdigest()

    return {
        "names": list(gradients.names()),
        "parameters": digest(gradients.parameters()),
        "part": part,
        "items": digest(idx),
        "labels": digest(labels),
        "about": dict(about),
    }


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
