"""Many run folders as tables. What cannot be used is named, and never stops the rest.

Runs are averaged only if nothing but the seed differs: another option, other data, another count of labels or another
version of the code is another line, or is left out with a sentence.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from .errors import UserError, nearest
from .identity import identity, labels
from .plots.files import RunFiles
from .rundir import RunDir

MARKS = {"run.json", "metrics.jsonl", "summary.json"}
# A damaged file can go wrong in any of these ways, beside the UserError that names it.
DAMAGE = (
    UserError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)
LOWER = ("nll", "brier", "ece", "mae", "mse", "rmse", "loss", "entropy", "error")


@dataclass(frozen=True)
class Entry:
    """One finished run."""

    files: RunFiles
    setting: str  # what strategies are compared in: data set, encoder, model, budget; and options where they differ
    strategy: str  # the strategy's name; and options where they differ
    seed: int
    code: str  # version of alrun and commit
    diagnostic: bool  # the strategy saw labels that it could not have: never ranked

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.files.folder

    @property
    def finished(self) -> str:
        """When it ended, ISO 8601."""
        return str(self.files.facts.get("finished") or "")


class LeftOut(NamedTuple):
    """A folder that is in no average, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True)
class Collection:
    """Every finished run below some folders, and what is to be known about the others."""

    entries: list[Entry]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def settings(self) -> list[str]:
        """Settings in the order of their names."""
        return sorted({entry.setting for entry in self.entries})


def collect(paths: Sequence[Path], *, any_version: bool = False) -> Collection:
    """The finished runs at or below `paths`; `any_version` averages runs of different versions of the code."""
    left_out: list[LeftOut] = []
    read: list[tuple[RunFiles, dict[str, Any]]] = []
    for folder in candidates(paths):
        files = RunFiles(folder)
        try:
            if reason := _unusable(files):
                left_out.append(LeftOut(folder, reason))
            else:
                read.append((files, identity(files.config, files.facts)))
        except DAMAGE as error:
            said = error.message if isinstance(error, UserError) else f"damaged: {type(error).__name__}: {error}"
            left_out.append(LeftOut(folder, said))
    settings = labels([known["setting"] for _, known in read])
    strategies = labels([known["strategy"] for _, known in read])
    entries = [
        Entry(files, setting, strategy, int(files.config["seed"]), known["code"], known["diagnostic"])
        for (files, known), setting, strategy in zip(read, settings, strategies, strict=True)
    ]
    kept, dropped, notes = _one_version(entries, any_version)
    kept, twice = _once(kept)
    notes = [*_split_notes([known["setting"] for _, known in read], settings), *notes, *_oddities(kept)]
    return Collection(kept, sorted([*left_out, *dropped, *twice]), notes)


def candidates(paths: Sequence[Path]) -> list[Path]:
    """Folders that hold a file of a run, at or below `paths`, sorted; a run folder is not looked into."""
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UserError(f"no such path: {path}", "alrun ls shows the runs below outputs")
        for here, inside, files in os.walk(path):
            if MARKS & set(files):
                found.add(Path(here))
                inside.clear()
            inside[:] = [name for name in inside if not name.startswith(".")]
    return sorted(found)


def _unusable(files: RunFiles) -> str | None:
    """Why a run is in no average, or None for a finished run that can be read."""
    home = RunDir(files.folder)
    if not (files.folder / "run.json").is_file():
        return "damaged: run.json is missing"
    if "schema" not in files.facts:
        return "foreign: its run.json is not alrun's"
    home.provenance()  # refuses what a newer alrun wrote
    status = home.status()
    if status != "done":
        error = files.facts.get("error") or {}
        reason = f": {error.get('type')}: {error.get('message')}" if status == "failed" else ""
        done = len(home.metrics())
        return f"{status}{reason}: {done} of {len(files.facts.get('batches') or ()) + 1} cycles"
    points = ((home.summary() or {}).get("labels") or {}).get("points") or ()
    if points and len(points) != len(files.rows):
        return f"damaged: summary.json tells of {len(points)} cycles, metrics.jsonl of {len(files.rows)}"
    counts = [int(row["n_labelled"]) for row in files.rows]
    if any(after <= before for before, after in pairwise(counts)):
        return f"damaged: the label counts in metrics.jsonl do not rise: {counts}"
    return None


def _one_version(entries: Sequence[Entry], any_version: bool) -> tuple[list[Entry], list[LeftOut], list[str]]:
    """Of each line the runs of one version of the code: the one with most seeds, then the setting's commonest."""
    common = Counter((entry.setting, entry.code) for entry in entries)
    kept: list[Entry] = []
    dropped: list[LeftOut] = []
    notes: list[str] = []
    for (setting, strategy), line in _lines(entries):
        versions: dict[str, list[Entry]] = defaultdict(list)
        for entry in line:
            versions[entry.code].append(entry)
        if len(versions) == 1:
            kept += line
            continue
        told = "; ".join(f"{code}: seeds {_seeds(part)}" for code, part in sorted(versions.items()))
        if any_version:
            notes.append(f"{setting}: {strategy} is an average over {len(versions)} versions of the code ({told})")
            kept += line
            continue
        best = max(versions, key=lambda code: (len(versions[code]), common[setting, code], code))
        others = [entry for entry in line if entry.code != best]
        notes.append(
            f"{setting}: {strategy} was made by {len(versions)} versions of the code ({told}); only {best} is used, "
            "--any-version averages them all"
        )
        dropped += [LeftOut(entry.folder, f"made by {entry.code}, its line by {best}") for entry in others]
        kept += versions[best]
    for setting in sorted({entry.setting for entry in kept}):
        codes = sorted({entry.code for entry in kept if entry.setting == setting})
        if len(codes) > 1:
            notes.append(f"{setting}: lines of {len(codes)} versions of the code are compared ({', '.join(codes)})")
    return kept, dropped, notes


def _once(entries: Sequence[Entry]) -> tuple[list[Entry], list[LeftOut]]:
    """A seed counts once in a line: the run that finished last."""
    kept: dict[tuple[str, str, int], Entry] = {}
    dropped = []
    for entry in sorted(entries, key=lambda entry: (entry.finished, entry.folder), reverse=True):
        key = entry.setting, entry.strategy, entry.seed
        if key in kept:
            dropped.append(LeftOut(entry.folder, f"the same run as {kept[key].folder}: a seed counts once"))
        else:
            kept[key] = entry
    return sorted(kept.values(), key=lambda e: (e.setting, e.strategy, e.seed)), dropped


def _lines(entries: Iterable[Entry]) -> list[tuple[tuple[str, str], list[Entry]]]:
    found: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.setting, entry.strategy].append(entry)
    return sorted(found.items())


def _split_notes(identities: Sequence[dict[str, Any]], names: Sequence[str]) -> list[str]:
    """Settings of the same names that differ in an option are compared apart; say so."""
    apart: dict[str, set[str]] = defaultdict(set)
    for known, name in zip(identities, names, strict=True):
        apart[known["name"]].add(name)
    return [
        f"{short} comes in {len(full)} configurations, which are compared apart: {'; '.join(sorted(full))}"
        for short, full in sorted(apart.items())
        if len(full) > 1
    ]


def _oddities(entries: Sequence[Entry]) -> list[str]:
    """What a reader of the averages has to know."""
    notes = []
    if dirty := sum(entry.code.endswith("+") for entry in entries):
        notes.append(
            f"{dirty} of {len(entries)} runs were made with uncommitted changes: their commit does not say all"
        )
    for entry in {entry.strategy: entry for entry in entries if entry.diagnostic}.values():
        notes.append(f"{entry.strategy} is a diagnostic that sees labels it could not have: shown, never ranked")
    for what, key in (("kinds of device", "device"), ("numbers of threads", "threads"), ("platforms", "platform")):
        if len(kinds := {str(entry.files.facts.get(key)) for entry in entries}) > 1:
            notes.append(f"the runs were made on {len(kinds)} {what} ({', '.join(sorted(kinds))})")
    return notes


def _seeds(entries: Sequence[Entry]) -> str:
    return ", ".join(str(seed) for seed in sorted(entry.seed for entry in entries))


def metric_key(collection: Collection, metric: str) -> str:
    """The key in metrics.jsonl that `metric` means: as it stands, or below test/. Raises UserError if no run has it."""
    known = {key for entry in collection.entries for key in entry.files.rows[-1]} - {"cycle"}
    for key in (f"test/{metric}", metric):
        if key in known:
            return key
    shown = sorted(key.removeprefix("test/") for key in known if key.startswith("test/") and "recall/" not in key)
    raise UserError(f"no run has the metric {metric!r}", *nearest(metric, shown), f"one of {', '.join(shown)}")


def higher_is_better(key: str) -> bool:
    """The direction of a metric, by its name."""
    return not any(word in key.rpartition("/")[2].split("_") for word in LOWER)


def curves(collection: Collection, key: str) -> tuple[pd.DataFrame, list[LeftOut]]:
    """The table of curves of one metric (see stats.curves), and the runs in which a value of it is missing."""
    rows, left_out = [], []
    for entry in collection.entries:
        values = [row.get(key) for row in entry.files.rows]
        if not all(isinstance(value, int | float) and abs(value) < float("inf") for value in values):
            left_out.append(LeftOut(entry.folder, f"{key} is missing in cycle {_first_gap(values)}"))
            continue
        rows += [
            (entry.setting, entry.strategy, entry.seed, int(row["n_labelled"]), float(row[key]))
            for row in entry.files.rows
        ]
    return pd.DataFrame(rows, columns=["setting", "strategy", "seed", "labels", "value"]), left_out


def _first_gap(values: Sequence[Any]) -> int:
    sound = (isinstance(value, int | float) and abs(value) < float("inf") for value in values)
    return next(cycle for cycle, good in enumerate(sound) if not good)
