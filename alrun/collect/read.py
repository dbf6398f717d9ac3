"""From folders to entries. What cannot be used is named, and never stops the rest."""

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..identity import identity, labels
from ..plots.files import RunFiles
from ..rundir import RunDir
from .entries import DAMAGE, Collection, Entry, LeftOut
from .versions import oddities, once, one_version, split_notes

MARKS = {"run.json", "metrics.jsonl", "summary.json"}


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
    data = labels([known["data"] for _, known in read])
    strategies = labels([known["strategy"] for _, known in read])
    entries = [
        Entry(files, setting, where, strategy, int(files.config["seed"]), known["code"], known["diagnostic"])
        for (files, known), setting, where, strategy in zip(read, settings, data, strategies, strict=True)
    ]
    kept, dropped, notes = one_version(entries, any_version)
    kept, twice = once(kept)
    notes = [*split_notes([known["setting"] for _, known in read], settings), *notes, *oddities(kept)]
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
    points = ((home.summary() or {}).get("labels") or {}).get("points") or ()
    if points and len(points) != len(files.rows):
        told = f"summary.json tells of {len(points)} cycles, metrics.jsonl of {len(files.rows)}"
        return f"damaged: {told}; alrun resume computes what is missing"
    if status != "done":
        error = files.facts.get("error") or {}
        reason = f": {error.get('type')}: {error.get('message')}" if status == "failed" else ""
        done = len(home.metrics())
        return f"{status}{reason}: {done} of {len(files.facts.get('batches') or ()) + 1} cycles"
    counts = [int(row["n_labelled"]) for row in files.rows]
    if any(after <= before for before, after in pairwise(counts)):
        return f"damaged: the label counts in metrics.jsonl do not rise: {counts}"
    return None
