"""What may be averaged: one version of the code, each seed once; and what a reader of the averages has to know."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from .entries import Entry, LeftOut


def one_version(entries: Sequence[Entry], any_version: bool) -> tuple[list[Entry], list[LeftOut], list[str]]:
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


def once(entries: Sequence[Entry]) -> tuple[list[Entry], list[LeftOut]]:
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


def split_notes(identities: Sequence[dict[str, Any]], names: Sequence[str]) -> list[str]:
    """Settings of the same names that differ in an option are compared apart; say so."""
    apart: dict[str, set[str]] = defaultdict(set)
    for known, name in zip(identities, names, strict=True):
        apart[known["name"]].add(name)
    return [
        f"{short} comes in {len(full)} configurations, which are compared apart: {'; '.join(sorted(full))}"
        for short, full in sorted(apart.items())
        if len(full) > 1
    ]


def oddities(entries: Sequence[Entry]) -> list[str]:
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
