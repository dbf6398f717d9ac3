"""What may be averaged: one version of the code, each seed once; and what a reader of the averages has to know."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from .entries import Entry, LeftOut

FEW = 8  # label counts named in a sentence


def one_version(entries: Sequence[Entry]) -> tuple[list[Entry], list[LeftOut], list[str]]:
    """Of each line the runs of one version of the code: the one with most seeds that other strategies have too.

    Theirs are the runs of the setting's best version, and those of lines that have one version only.
    """
    kept: list[Entry] = []
    dropped: list[LeftOut] = []
    for _, mine in _groups(entries, "setting"):
        order, lines = _preferred(mine), _groups(mine, "strategy")
        settled = [
            entry for _, line in lines for entry in line if entry.code == order[0] or len(_groups(line, "code")) == 1
        ]
        for strategy, line in lines:
            theirs = {entry.seed for entry in settled if entry.strategy != strategy}
            common = {code: len(theirs & {entry.seed for entry in part}) for code, part in _groups(line, "code")}
            best = max(common, key=lambda code: (common[code], -order.index(code)))
            kept += [entry for entry in line if entry.code == best]
            others = [entry for entry in line if entry.code != best]
            dropped += [LeftOut(entry.folder, f"made by {entry.code}, its line by {best}") for entry in others]
    used = {(entry.setting, entry.strategy): entry.code for entry in kept}
    notes = []
    for setting, strategies, versions, told in _several(entries):
        for best in sorted({used[setting, strategy] for strategy in strategies}):
            named = [strategy for strategy in strategies if used[setting, strategy] == best]
            notes.append(
                f"{setting}: {', '.join(named)} {'was' if len(named) == 1 else 'were'} made by {versions} versions of "
                f"the code ({told}); only {best} is used, --any-version averages them all"
            )
    return kept, dropped, [*notes, *_side_by_side(kept)]


def averaged(entries: Sequence[Entry]) -> list[str]:
    """Which lines are averages over versions of the code, and which versions are compared."""
    notes = []
    for setting, strategies, versions, told in _several(entries):
        what = "is an average" if len(strategies) == 1 else "are averages"
        notes.append(f"{setting}: {', '.join(strategies)} {what} over {versions} versions of the code ({told})")
    return [*notes, *_side_by_side(entries)]


def _preferred(entries: Sequence[Entry]) -> list[str]:
    """Versions of the code in a setting, best first.

    Best has most runs whose seed another strategy has in that version too; then most runs; then a commit without
    changes; then the run that finished last.
    """
    strategies: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    finished: dict[str, str] = defaultdict(str)
    for entry in entries:
        strategies[entry.code][entry.seed].add(entry.strategy)
        finished[entry.code] = max(finished[entry.code], entry.finished)

    def worth(code: str) -> tuple[int, int, bool, str, str]:
        sizes = [len(names) for names in strategies[code].values()]
        paired = sum(size for size in sizes if size > 1)
        return paired, sum(sizes), not code.endswith("+"), finished[code], code

    return sorted(strategies, key=worth, reverse=True)


def _several(entries: Sequence[Entry]) -> list[tuple[str, list[str], int, str]]:
    """Lines of several versions of the code: setting, strategies, how many versions, and which with which seeds."""
    alike: dict[tuple[str, int, str], list[str]] = defaultdict(list)
    for setting, mine in _groups(entries, "setting"):
        for strategy, line in _groups(mine, "strategy"):
            versions = _groups(line, "code")
            if len(versions) > 1:
                told = "; ".join(f"{code}: seeds {_seeds(part)}" for code, part in versions)
                alike[setting, len(versions), told].append(strategy)
    return [(setting, strategies, versions, told) for (setting, versions, told), strategies in alike.items()]


def _side_by_side(entries: Sequence[Entry]) -> list[str]:
    notes = []
    for setting, mine in _groups(entries, "setting"):
        codes = sorted({entry.code for entry in mine})
        if len(codes) > 1:
            notes.append(f"{setting}: lines of {len(codes)} versions of the code are compared ({', '.join(codes)})")
    return notes


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


def _groups(entries: Iterable[Entry], key: str) -> list[tuple[str, list[Entry]]]:
    """Entries by one of their fields, sorted."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[getattr(entry, key)].append(entry)
    return sorted(found.items(), key=lambda group: group[0])


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
    return [*notes, *_packages(entries), *_networks(entries), *_label_points(entries)]


def _packages(entries: Sequence[Entry]) -> list[str]:
    """Packages of several versions; one that a run did not have installed cannot have changed it."""
    found: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        for name, version in (entry.files.facts.get("packages") or {}).items():
            found[name] |= {str(version)} if version else set()
    told = [f"{name} ({', '.join(sorted(known))})" for name, known in sorted(found.items()) if len(known) > 1]
    return [f"the runs were made with several versions of {', '.join(told)}"] if told else []


def _networks(entries: Sequence[Entry]) -> list[str]:
    """Settings whose runs read other features or began with other weights under the same names."""
    notes = []
    for setting, mine in _groups(entries, "setting"):
        for key, what in (("features", "features"), ("weights", "weights of the model")):
            lines: dict[str, set[str]] = defaultdict(set)
            for entry in mine:
                if known := entry.files.facts.get(key):  # older runs do not say
                    lines[json.dumps(known, sort_keys=True)].add(f"{entry.strategy} seed {entry.seed}")
            if len(lines) > 1:
                told = "; ".join(_some(sorted(names)) for names in sorted(lines.values(), key=len, reverse=True))
                notes.append(f"{setting}: runs of {len(lines)} different {what} are compared ({told})")
    return notes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _label_points(entries: Sequence[Entry]) -> list[str]:
    """Settings in which curves are known at different label counts."""
    notes = []
    for setting, mine in _groups(entries, "setting"):
        where: dict[tuple[int, ...], set[str]] = defaultdict(set)
        for entry in mine:
            where[tuple(int(row["n_labelled"]) for row in entry.files.rows)].add(entry.strategy)
        if len(where) > 1:
            told = "; ".join(f"{', '.join(sorted(names))} at {_few(points)}" for points, names in sorted(where.items()))
            notes.append(f"{setting}: curves over different label counts are compared ({told})")
    return notes


def _few(points: Sequence[int]) -> str:
    if len(points) <= FEW:
        return ", ".join(map(str, points))
    return f"{', '.join(map(str, points[: FEW - 1]))}, ... {points[-1]} ({len(points)} points)"


def _seeds(entries: Sequence[Entry]) -> str:
    return ", ".join(str(seed) for seed in sorted(entry.seed for entry in entries))
