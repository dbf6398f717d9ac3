"""From the dataset part of a config to its Source, once per process."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import registry
from ..config import DatasetConfig, Goal
from .source import Source

RUN_ONLY = ("pool", "target", "imbalance", "label_noise")  # what split() does, not the loaders


def load(cfg: DatasetConfig, plugins: Sequence[str] = ()) -> Source:
    """The dataset, read and checked. Runs of one process that want the same one share it."""
    wanted = {key: value for key, value in asdict(cfg).items() if key not in RUN_ONLY}
    files = [cfg.path, cfg.train, cfg.test] + ([cfg.goal.path, cfg.goal.train, cfg.goal.test] if cfg.goal else [])
    stamps = [_stamp(text) for text in files]
    return _load(json.dumps(wanted, sort_keys=True), json.dumps(stamps), tuple(plugins))


@lru_cache(maxsize=2)
def _load(wanted: str, stamps: str, plugins: tuple[str, ...]) -> Source:
    cfg = described(json.loads(wanted))
    return registry.find("dataset", {"name": cfg.name, "method": cfg.method}, plugins)(cfg)


def described(values: Mapping[str, Any]) -> DatasetConfig:
    """The dataset part of a config that was written down; what this version does not know is left out."""
    known = {field.name for field in fields(DatasetConfig)}
    cfg = DatasetConfig(**{key: value for key, value in values.items() if key in known})
    return replace(cfg, goal=Goal(**values["goal"])) if values.get("goal") else cfg


def _stamp(text: str | None) -> list[int]:
    """What changes when a file does."""
    try:
        about = Path(text).expanduser().stat() if text else None
    except (OSError, ValueError):
        about = None
    return [about.st_mtime_ns, about.st_size, about.st_ino] if about else []
