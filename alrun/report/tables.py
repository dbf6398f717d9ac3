"""The tables around the figures: what was run and on what, costs, runs that are missing, how to do it again."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..collect import Collection, Entry
from ..collect.entries import DAMAGE
from .curves import is_number, spent
from .markup import Html, join, number, table, tag

COUNTED = {"bought": "bought", "initial": "at the start", "target": "in the target split"}
MANY = 12  # rows of a list before it is folded
SAFE = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml, where there is one, writes ten times as fast
Found = Mapping[str, Mapping[str, Sequence[Entry]]]


def made(collection: Collection, found: Found) -> Html:
    """Data, labels and budget of each setting; versions and hardware of all runs."""
    rows = []
    for setting, strategies in found.items():
        first = next(iter(strategies.values()))[0]
        facts, sizes = first.files.facts, _sizes(first)
        labels = facts.get("labels") or {}
        counted = ", ".join(f"{labels.get(key, '?')} {word}" for key, word in COUNTED.items())
        seeds = sorted({entry.seed for line in strategies.values() for entry in line})
        warnings = "; ".join(map(str, facts.get("warnings") or [])) or "none"
        rows.append(
            [setting, *sizes, counted, len(strategies), len(seeds), warnings,
             tag("code", str(facts.get("fingerprint"))[:8])]
        )  # fmt: skip
    heads = [
        "setting",
        "classes",
        "pool",
        "test",
        "labels of a run",
        "strategies",
        "seeds",
        "warnings about the data",
        "data",
    ]
    notes = [tag("p", note, class_="note") for note in collection.notes]
    facts_ = [entry.files.facts for entry in collection.entries]
    packages = [", ".join(f"{k} {v}" for k, v in (one.get("packages") or {}).items()) for one in facts_]
    surroundings: list[list[object]] = [
        ["alrun", _counted([entry.code for entry in collection.entries])],
        ["Python", _counted([one.get("python") for one in facts_])],
        ["packages", _counted(packages)],
        ["platform", _counted([one.get("platform") for one in facts_])],
        ["device", _counted([one.get("device") for one in facts_])],
        ["threads", _counted([one.get("threads") for one in facts_])],
        ["first start", min(_texts(facts_, "started"), default=None)],
        ["last end", max(_texts(facts_, "finished"), default=None)],
    ]
    words = "No label is free: the target split is labelled too, for the strategies that need one. "
    explained = tag("p", f"{words}A commit with + had uncommitted changes.", class_="caption")
    return join([*notes, table(heads, rows), explained, table(["made with", ""], surroundings)])


def _sizes(entry: Entry) -> list[int | None]:
    try:
        return [len(entry.files.classes), len(entry.files.items["pool"]), len(entry.files.items["test_label"])]
    except DAMAGE:
        return [None, None, None]


def _texts(facts: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return [str(one[key]) for one in facts if one.get(key)]


def _counted(values: Sequence[object]) -> str:
    """Each value; with the number of runs where there are several."""
    counts = Counter(map(str, values))
    if len(counts) < 2:
        return next(iter(counts), "–")
    return "; ".join(f"{value} ({count} runs)" for value, count in counts.most_common())


def costs(found: Found) -> Html:
    """Seconds and memory of each line, means over seeds, cheapest selection first."""
    parts = []
    for setting, strategies in found.items():
        rows = [[name, *_cost(line)] for name, line in strategies.items()]
        rows.sort(key=lambda row: row[1] if isinstance(row[1], float) else np.inf)
        heads = [
            "strategy",
            "select, s",
            "train, s",
            "evaluate, s",
            "all, s",
            "slowest selection, s",
            "peak, MB",
            "ms to select a label",
        ]
        parts.append(_fold(setting, table(heads, rows), len(found)))
    note = (
        "Sums over the cycles of one run, means over seeds. The curves above can show each of them by cycle (Metric)."
    )
    return join([tag("p", note, class_="caption"), *parts])


def _cost(line: Sequence[Entry]) -> list[float | None]:
    keys = ("select_s", "train_s", "eval_s", "total_s")
    tables = [rows for entry in line if (rows := spent(entry))]
    if not tables:
        return [None] * 7
    try:
        sums = [float(np.mean([sum(float(row[key] or 0) for row in rows) for rows in tables])) for key in keys]
        slowest = float(np.mean([max(float(row["select_s"] or 0) for row in rows) for rows in tables]))
        peak = float(max(float(row.get("peak_mb") or 0) for rows in tables for row in rows))
    except DAMAGE:
        return [None] * 7
    counts = [int(row["n_labelled"]) for row in line[0].files.rows]
    bought = counts[-1] - counts[0]
    return [*sums, slowest, peak, 1000 * sums[0] / bought if bought else None]


def _fold(title: str, content: Html, count: int) -> Html:
    if count <= 2:
        return join([tag("h3", title), content])
    return tag("details", tag("summary", tag("strong", title)), content)


def runs(collection: Collection, found: Found) -> Html:
    """What is in no average, and why; then the seeds of every line."""
    parts = []
    out = collection.left_out
    total = len(collection.entries) + len(out)
    if out:
        shown = table(["folder", "why"], [[tag("code", str(folder)), reason] for folder, reason in out])
        words = f"{len(out)} of {total} folders are in no average"
        parts.append(
            join([tag("h3", words), shown])
            if len(out) <= MANY
            else tag("details", tag("summary", tag("strong", words)), shown)
        )
    else:
        parts.append(tag("p", f"All {total} folders are finished runs; none was left out."))
    for setting, strategies in found.items():
        seeds = sorted({entry.seed for line in strategies.values() for entry in line})
        gaps = [
            f"{name} has no seed {', '.join(map(str, missing))}"
            for name, line in strategies.items()
            if (missing := sorted(set(seeds) - {entry.seed for entry in line}))
        ]
        if gaps:
            parts.append(tag("p", tag("strong", setting), ": ", "; ".join(gaps), class_="note"))
    rows = [
        [entry.setting, entry.strategy, str(entry.seed), number(_seconds(entry)), tag("code", str(entry.folder))]
        for entry in collection.entries
    ]
    listing = table(["setting", "strategy", "seed", "seconds", "folder"], rows)
    parts.append(tag("details", tag("summary", f"All {len(rows)} runs that were used"), listing))
    return join(parts)


def _seconds(entry: Entry) -> float:
    value = entry.files.facts.get("seconds")
    return float(value) if is_number(value) else float("nan")


def reproduce(collection: Collection, found: Found, paths: Sequence[Path]) -> Html:
    """The commands as they were given, and the resolved config of every line."""
    asked = Counter(tuple(map(str, entry.files.facts.get("argv") or ())) for entry in collection.entries)
    known = [shlex.join(["alrun", *words]) for words in asked if words and words[0] in ("run", "resume")]
    unknown = sum(count for words, count in asked.items() if not words or words[0] not in ("run", "resume"))
    commands = [*sorted(known), shlex.join(["alrun", "report", *map(str, paths)])]
    parts = [
        tag("p", "The same command finishes what is missing and computes nothing twice."),
        tag("pre", "\n".join(commands)),
    ]
    if unknown:
        parts.append(tag("p", f"{unknown} runs did not record such a command: their configs say all.", class_="note"))
    grouped: dict[str, list[Html]] = defaultdict(list)
    for setting, strategies in found.items():
        for name, line in strategies.items():
            config = {key: value for key, value in line[0].files.config.items() if key != "seed"}
            text = (
                yaml.dump(config, Dumper=SAFE, sort_keys=False, allow_unicode=True)
                + f"seed: {', '.join(str(e.seed) for e in line)}"
            )
            grouped[setting].append(tag("details", tag("summary", name), tag("pre", text)))
    for setting, configs in grouped.items():
        parts.append(tag("details", tag("summary", f"Configs of {setting}"), *configs))
    return join(parts)
