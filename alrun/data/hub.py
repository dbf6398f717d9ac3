"""Any dataset of the Hugging Face hub, or a local folder in its layout, through the package `datasets`."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..config import DatasetConfig
from ..errors import UserError
from ..registry import dataset
from .assemble import SHARE, Rows, assemble, fraction
from .columns import Content, content, demand, spelled
from .images import Images
from .scale import scale
from .source import Source

OLDEST = 4  # the first version of `datasets` that cannot run a dataset's own script


class Encoded(Sequence):
    """The bytes, or else the path, of the pictures of a split, read when they are asked for."""

    def __init__(self, table: Any, column: str) -> None:
        self.table, self.column = table, column

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, row):  # type: ignore[override]
        value = self.table[int(row)][self.column]
        return value["bytes"] if value["bytes"] is not None else Path(value["path"])


@dataset
def hub(cfg: DatasetConfig) -> Source:
    """Dataset `path`, its splits `train` and `test` (or a share of train), its columns `input` and `label`."""
    for key in ("path", "train", "label"):
        if getattr(cfg, key) is None:
            raise UserError(f"dataset=hub needs dataset.{key}", "dataset=hub dataset.path=NAME dataset.label=COLUMN")
    for key in ("test_input", "test_label"):
        if getattr(cfg, key) is not None:
            raise UserError(f"dataset.{key} is for NPZ files", "dataset.test=SPLIT names a test split of the hub")
    share = SHARE if cfg.test is None else _share(cfg.test)
    train = fetch(cfg, str(cfg.train))
    first, rows, classes = _rows(train, cfg, str(cfg.train))
    graded = scale(cfg)
    if share is not None:
        return assemble(cfg.name, first.kind, rows, share=share, classes=classes, columns=first.columns, graded=graded)
    _, held, _ = _rows(fetch(cfg, str(cfg.test)), cfg, str(cfg.test))
    return assemble(cfg.name, first.kind, rows, held, classes=classes, columns=first.columns, graded=graded)


def _share(text: str) -> float | None:
    """The share in "0.2"; None for the name of a split."""
    try:
        float(text)
    except ValueError:
        return None
    return fraction(text, "dataset=hub")


def fetch(cfg: DatasetConfig, split: str) -> Any:
    """One split, from the local cache of `datasets` or else downloaded."""
    if importlib.util.find_spec("datasets") is None:
        raise UserError(
            f"dataset {cfg.name!r} needs the package datasets, which is not installed",
            "pip install 'alrun[hub]'",
            "dataset=digits always works",
        )
    import datasets

    if int(datasets.__version__.split(".")[0]) < OLDEST:
        raise UserError(
            f"datasets {datasets.__version__} can run code that comes with a dataset; alrun wants {OLDEST}.0 or newer",
            "pip install -U 'datasets>=4'",
        )
    folder = Path(str(cfg.path)).expanduser()
    path = str(folder.resolve()) if folder.is_dir() else str(cfg.path)
    try:
        return datasets.load_dataset(path, name=cfg.config, split=split, revision=cfg.revision)
    except (OSError, ValueError, RuntimeError) as error:  # no network, no such dataset, no such split, a script
        lines = str(error).strip().splitlines()
        raise UserError(
            f"split {split!r} of {path!r} could not be loaded: {lines[0] if lines else type(error).__name__}",
            "without a network: load it once with one (datasets keeps a copy), or dataset.path=FOLDER of Parquet files",
            "dataset=digits always works",
        ) from error


def _rows(table: Any, cfg: DatasetConfig, split: str) -> tuple[Content, Rows, list[str] | None]:
    """Items and labels of a split; class names where the label column has them."""
    where, label = f"split {split!r} of {cfg.path}", str(cfg.label)
    known = [str(name) for name in table.features]
    demand(label, known, where, "dataset.label")
    if cfg.input == label:
        raise UserError(f"dataset.input and dataset.label are both {label!r}", "name another column")
    about = table.features[label]
    names = list(about.names) if getattr(about, "names", None) else None
    labels = np.asarray(table.select_columns([label]).to_pandas()[label])
    if isinstance(cfg.input, str):
        demand(cfg.input, known, where, "dataset.input")
        if type(table.features[cfg.input]).__name__ == "Image":
            import datasets

            plain = table.select_columns([cfg.input]).cast_column(cfg.input, datasets.Image(decode=False))
            images = Images(Encoded(plain, cfg.input))
            return Content("image", images), Rows(images, labels), names
    wanted = cfg.input if cfg.input is None or isinstance(cfg.input, str) else [str(c) for c in cfg.input]
    wanted = spelled(wanted, known, label) if isinstance(wanted, list) else wanted
    columns = known if wanted is None else [wanted] if isinstance(wanted, str) else wanted
    for column in columns:
        demand(column, known, where, "dataset.input")
    found = content(table.select_columns(columns).to_pandas(), wanted, label, where, Path(str(cfg.path)))
    return found, Rows(found.items, labels), names
