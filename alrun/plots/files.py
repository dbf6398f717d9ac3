"""What a run folder says, read without trusting it: a run may be unfinished, damaged or written by someone else."""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import yaml

from ..errors import UserError

# What can change a number of a run; the other keys of config.yaml but the seed say where and on what it ran.
PARTS = ("dataset", "encoder", "model", "strategy", "budget")
SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads a thousand runs in a second, Python in ten
SELECTIONS = ("cycle", "rank", "index", "label")
ITEMS = ("pool", "pool_label", "test_label", "initial", "initial_label")


@dataclass(frozen=True)
class RunFiles:
    """The committed part of one run. Everything is read when it is asked for."""

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved options."""
        path = self.file("config.yaml")
        with _readable(path):
            config = yaml.load(path.read_text(encoding="utf-8"), Loader=SAFE)
            for part in PARTS:
                str(config[part]["name"])
            int(config["seed"])
        return config

    @cached_property
    def facts(self) -> dict[str, Any]:
        """run.json: class names, label counts, fingerprint."""
        path = self.file("run.json")
        with _readable(path):
            facts = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(facts, dict):
                raise ValueError("not a JSON object")
            json.dumps(facts, ensure_ascii=False).encode()  # half a letter, \ud800, is no text that can be shown
        return facts

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """What metrics.jsonl says of each committed cycle. A last line without an end was never committed."""
        path = self.file("metrics.jsonl")
        if not path.exists() and self.facts:
            raise self._nothing_yet(path)
        with _readable(path):
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]
            rows = [json.loads(line) for line in lines]
            for cycle, row in enumerate(rows):
                if not isinstance(row, dict) or row.get("cycle") != cycle:
                    raise ValueError(f"line {cycle + 1} is not cycle {cycle}")
                int(row["n_labelled"])
        if not rows:
            raise self._nothing_yet(path)
        return rows

    def _nothing_yet(self, path: Path) -> UserError:
        return UserError(f"{path} has no committed cycle", f"alrun resume {self.folder} goes on with the run")

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row per committed cycle, null as NaN."""
        table = pd.DataFrame(self.rows)
        numeric = [column for column in table if column not in ("cycle", "n_labelled")]
        table[numeric] = table[numeric].apply(pd.to_numeric, errors="coerce").astype(float)
        return table

    @cached_property
    def costs(self) -> list[dict[str, Any]]:
        """Seconds and memory of the committed cycles; none where costs.jsonl is absent."""
        path = self.file("costs.jsonl")
        if not path.exists():
            return []
        with _readable(path):
            found = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
            for cycle, row in enumerate(found):
                if not isinstance(row, dict) or row.get("cycle") != cycle:
                    raise ValueError(f"line {cycle + 1} is not cycle {cycle}")
        return found[: len(self.rows)]

    @cached_property
    def selections(self) -> pd.DataFrame:
        """One row per acquired item of the committed cycles, in the order of acquisition."""
        path = self.file("selections.csv")
        if not path.exists():
            return pd.DataFrame(columns=SELECTIONS, dtype=np.int64)
        with _readable(path):
            # Behind the last newline may be half a row; its cycle is not committed.
            text = path.read_text(encoding="utf-8").rpartition("\n")[0]
            rows = [line.split(",")[:4] for line in text.split("\n")[1:]]
            table = pd.DataFrame([[int(value) for value in row] for row in rows], columns=SELECTIONS, dtype=np.int64)
        return table[table["cycle"] < len(self.metrics)].reset_index(drop=True)

    @cached_property
    def items(self) -> Mapping[str, np.ndarray]:
        """Rows and labels of the splits."""
        return self.arrays("items.npz", *ITEMS)

    @cached_property
    def classes(self) -> list[str]:
        """Class names."""
        names = self.facts.get("classes")
        if not isinstance(names, list) or not names:
            raise UserError(
                f"{self.folder / 'run.json'} names no classes", "the file is damaged: run it again, --fresh"
            )
        return [str(name) for name in names]

    @property
    def setting(self) -> tuple[str, str, str]:
        """Names of dataset, encoder-model and budget: what strategies are compared in."""
        name = {part: str(self.config[part]["name"]) for part in PARTS}
        return name["dataset"], f"{name['encoder']}-{name['model']}", name["budget"]

    @property
    def title(self) -> str:
        """Dataset, encoder-model, budget, strategy and seed."""
        return " · ".join([*self.setting, str(self.config["strategy"]["name"]), f"seed {self.config['seed']}"])

    @property
    def started(self) -> bool:
        """Whether a cycle is committed."""
        path = self.inside("metrics.jsonl")
        return path.is_file() and b"\n" in path.read_bytes()

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return self.inside(name).is_file()

    def arrays(self, name: str, *keys: str) -> dict[str, np.ndarray]:
        """Arrays of an .npz file; no pickled objects."""
        path = self.file(name)
        with _readable(path), np.load(path, allow_pickle=False) as found:
            return {key: found[key] for key in keys}

    @cached_property
    def _root(self) -> Path:
        return self.folder.resolve()

    def inside(self, name: str) -> Path:
        """A path in this folder. Raises UserError if a link leads out of it, or in a circle."""
        path = self.folder / name
        if not any(map(os.path.islink, [path, *path.parents[: name.count("/")]])):
            return path  # seen at a glance: a thousand runs ask for many files
        try:
            inside = path.resolve().is_relative_to(self._root)
        except (OSError, RuntimeError) as error:  # Python's versions differ
            raise UserError(f"{path} is a link that leads in a circle", "put the file itself there") from error
        if not inside:
            raise UserError(f"{path} leads out of its run folder", "replace the link by what it points to")
        return path

    def file(self, name: str) -> Path:
        """A file in this folder, which need not be there. Raises UserError if it is a pipe: reading waits for ever."""
        path = self.inside(name)
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is no plain file", "run the same command again with --fresh")
        return path


class _readable:
    """What goes wrong while reading `path` leaves as a UserError that names it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        damage = (ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error, yaml.YAMLError)
        if isinstance(error, OSError):
            raise UserError(
                f"{self.path} cannot be read: {error.strerror or error}", "is this a run folder?"
            ) from error
        if isinstance(error, damage):
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"{self.path} is damaged: {reason}", "run the same command again with --fresh") from error


def spread(cycles: Sequence[int], most: int) -> list[int]:
    """At most `most` of the cycles, evenly spaced, with the first and the last."""
    if len(cycles) <= most:
        return list(cycles)
    return [cycles[round(k * (len(cycles) - 1) / (most - 1))] for k in range(most)]
