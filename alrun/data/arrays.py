"""Datasets in NPZ files: one array of items, one of labels, both again for the test split."""

import zipfile
from pathlib import Path

import numpy as np

from ..config import DatasetConfig
from ..errors import UserError
from .assemble import SHARE, Rows, assemble
from .columns import demand
from .scale import scale
from .source import Items, Kind, Source


def arrays(cfg: DatasetConfig, train: Path, test: Path | float) -> Source:
    """Arrays `dataset.input` and `dataset.label` of a file; the test split under the same names in a second file,
    under dataset.test_input and dataset.test_label in the first, or cut from the train rows."""
    if not isinstance(cfg.input, str):
        raise UserError(
            f"{train.name}: an NPZ file needs dataset.input=NAME of one array",
            f"it has {', '.join(names(train)) or 'nothing'}",
        )
    if (cfg.test_input is None) != (cfg.test_label is None):
        given = "test_input" if cfg.test_label is None else "test_label"
        raise UserError(f"dataset.{given} is given alone", "dataset.test_input and dataset.test_label go together")
    if cfg.test_input is not None and cfg.test is not None and not isinstance(test, Path):
        raise UserError(
            f"dataset.test={cfg.test} asks for a cut, dataset.test_input={cfg.test_input} for an array",
            "give one of the two",
        )
    kind, items = _items(train, cfg.input, "dataset.input")
    rows = Rows(items, array(train, str(cfg.label), "dataset.label"))
    graded = scale(cfg)
    if cfg.test_input is None and not isinstance(test, Path):
        return assemble(cfg.name, kind, rows, share=test if cfg.test is not None else SHARE, graded=graded)
    file = test if isinstance(test, Path) else train
    other, held = _items(file, cfg.test_input or cfg.input, "dataset.test_input")
    if other != kind:
        raise UserError(f"{train.name} has {kind} items, the test split has {other} items", "use one kind of array")
    labels = array(file, str(cfg.test_label or cfg.label), "dataset.test_label")
    return assemble(cfg.name, kind, rows, Rows(held, labels), graded=graded)


def names(path: Path) -> list[str]:
    """The arrays in a file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return list(file.files)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise _broken(path) from error


def array(path: Path, name: str, option: str) -> np.ndarray:
    """One array of an NPZ file. Arrays of Python objects are refused: reading them can run code."""
    demand(name, names(path), path.name, option)
    try:
        with np.load(path, allow_pickle=False) as file:
            return file[name]
    except ValueError as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise UserError(
                f"{name!r} of {path.name} holds Python objects, which are not read: they can run code",
                "save it as numbers or as strings: array.astype(str)",
            ) from error
        raise _broken(path) from error
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise _broken(path) from error


def _broken(path: Path) -> UserError:
    return UserError(f"{path.name} is not a readable NPZ file", "np.savez(PATH, x_train=..., y_train=...) writes one")


def _items(path: Path, name: str, option: str) -> tuple[Kind, Items]:
    values = array(path, name, option)
    shape = values.shape
    if values.ndim == 1 and values.dtype.kind in "US":
        texts = np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
        return "text", [str(text) for text in texts]
    if values.dtype == np.uint8 and values.ndim in (3, 4):
        if values.ndim == 4 and shape[3] == 1:
            values = values[..., 0]
        if values.ndim == 4 and values.shape[3] != 3:
            raise UserError(
                f"{name!r} of {path.name} has shape {shape}: images are (n, H, W) or (n, H, W, 3)",
                "array.transpose(0, 2, 3, 1) puts the colours last",
            )
        return "image", values
    if values.dtype.kind in "iufb" and values.ndim in (1, 2):
        with np.errstate(over="ignore"):
            return "table", values.astype(np.float32).reshape(len(values), -1)
    raise UserError(
        f"{name!r} of {path.name} has shape {shape} of {values.dtype}",
        "columns are (n, F) numbers, images (n, H, W) or (n, H, W, 3) uint8, texts (n,) strings",
    )
