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
from .facts import mistyped
from .versions import averaged, oddities, once, one_version, split_notes

MARKS = {"run.json", "metrics.jsonl", "summary.json"}


def collect(paths: Sequence[Path], *, any_version: bool = False) -> Collection:
    """The finished runs at or below `paths`; `any_version` averages runs of different versions of the code."""
    folders, left_out = candidates(paths)
    read: list[tuple[RunFiles, dict[str, Any]]] = []
    for folder in folders:
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
    if any_version:
        kept, dropped = once(entries)
        notes = averaged(kept)
    else:
        kept, others, notes = one_version(entries)
        kept, dropped = once(kept)
        dropped += others
    notes = [*split_notes([known["setting"] for _, known in read], settings), *notes, *oddities(kept)]
    return Collection(kept, sorted([*left_out, *dropped]), notes)


def candidates(paths: Sequence[Path]) -> tuple[list[Path], list[LeftOut]]:
    """Folders at or below `paths` that hold a file of a run, sorted; and those that are not looked into, and why.

    A file of that name may be anything, so what lies below it is looked at as well. Links to folders are not followed:
    they may lead in a circle, or to all of a disk.
    """
    found: set[Path] = set()
    closed: set[LeftOut] = set()

    def unreadable(error: OSError) -> None:
        closed.add(LeftOut(Path(error.filename), f"cannot be looked into: {error.strerror}"))

    for path in paths:
        if not path.exists():
            raise UserError(f"no such path: {path}", "alrun ls shows the runs below outputs")
        for here, inside, files in os.walk(path, onerror=unreadable):
            if MARKS & set(files):
                found.add(Path(here))
            inside[:] = [name for name in inside if not name.startswith(".")]
            links = [Path(here, name) for name in inside if os.path.islink(os.path.join(here, name))]
            closed |= {LeftOut(link, "a link to a folder is not followed: name it to have it read") for link in links}
    return sorted(found), sorted(closed)


def _unusable(files: RunFiles) -> str | None:
    """Why a run is in no average, or None for a finished run that can be read."""
    home = RunDir(files.folder)
    for name in sorted(MARKS):
        files.file(name)
    if not (files.folder / "run.json").is_file():
        return "damaged: run.json is missing"
    if "schema" not in files.facts:
        return "foreign: its run.json is not alrun's"
    if wrong := mistyped(files.facts):
        return f"damaged: {wrong}"
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
