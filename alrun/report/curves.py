"""The learning curves of every line, and its difference to the baseline seed by seed, for every metric."""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any, TypeGuard

import numpy as np

from ..collect import Collection, Entry
from ..collect.entries import DAMAGE
from ..stats.intervals import t_interval

LEVEL = 0.95
MEANINGS = {
    "test/accuracy": "test accuracy",
    "test/balanced_accuracy": "test balanced accuracy",
    "test/macro_f1": "test macro-F1",
    "test/nll": "test NLL (nats, lower is better)",
    "test/brier": "test Brier score (0 to 2, lower is better)",
    "test/ece": "test ECE (lower is better)",
    "pool/entropy_mean": "mean predictive entropy of the pool (nats)",
    "train/loss": "training loss (nats)",
    "cost/select_s": "seconds to select a batch",
    "cost/train_s": "seconds to train",
    "cost/eval_s": "seconds to evaluate",
    "cost/peak_mb": "peak memory (MB)",
}
COSTS = ("select_s", "train_s", "eval_s", "peak_mb")
PRECISION = 6  # significant digits in the page
LARGEST = sys.float_info.max

Line = Sequence[Entry]
Values = Mapping[int, Mapping[int, float]]  # seed -> labels -> value


def lines(collection: Collection) -> dict[str, dict[str, list[Entry]]]:
    """Setting -> strategy -> its runs by seed."""
    found: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in collection.entries:
        found[entry.setting][entry.strategy].append(entry)
    return found


def values(line: Line) -> dict[str, dict[int, dict[int, float]]]:
    """Metric -> seed -> labels -> value, for all that is worth a curve."""
    found: dict[str, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    none: dict[str, Any] = {}
    for entry in line:
        for row, costs in zip_longest(entry.files.rows, spent(entry), fillvalue=none):
            shown = {key: row[key] for key in row if _drawn(key)} | {f"cost/{key}": costs.get(key) for key in COSTS}
            for key, value in shown.items():
                if is_number(value):
                    found[key][entry.seed][int(row["n_labelled"])] = float(value)
    return found


def spent(entry: Entry) -> list[dict[str, Any]]:
    """What costs.jsonl says; nothing if it is damaged: a run's numbers do not depend on it."""
    try:
        return entry.files.costs
    except DAMAGE:
        return []


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number: JSON also has whole numbers that are too large for a float."""
    return type(value) in (int, float) and -LARGEST <= value <= LARGEST  # type: ignore[operator]


@cache
def _drawn(key: str) -> bool:
    kind, _, name = key.partition("/")
    return key in MEANINGS or (kind in ("test", "target") and "/" not in name)


def summary(mine: Values) -> dict[str, Any] | None:
    """Mean over seeds with its 95 % t interval at each label count that all seeds have, and the seeds themselves."""
    counts = sorted(set.intersection(*(set(curve) for curve in mine.values())))
    if not counts:
        return None
    table = np.array([[mine[seed][count] for count in counts] for seed in sorted(mine)])  # (seeds, label counts)
    return _summarised(table) | {"x": counts, "seeds": _short(table)}


def difference(mine: Values, base: Values) -> dict[str, Any] | None:
    """`summary` of strategy minus baseline, over the seeds and label counts that both have."""
    seeds = sorted(set(mine) & set(base))
    if not seeds:
        return None
    gaps = {
        seed: {count: mine[seed][count] - base[seed][count] for count in set(mine[seed]) & set(base[seed])}
        for seed in seeds
    }
    return summary(gaps)


def _summarised(table: np.ndarray) -> dict[str, Any]:
    band = t_interval(table, LEVEL)
    return {
        "n": len(table),
        "mean": _short(band.mean),
        "low": _short(band.low) if len(table) > 1 else None,
        "high": _short(band.high) if len(table) > 1 else None,
    }


def _short(array: np.ndarray) -> Any:
    """Six significant digits: what an eye can see, in half the bytes."""
    rounded = [float(f"{value:.{PRECISION}g}") for value in array.ravel().tolist()]
    return np.array(rounded).reshape(array.shape).tolist()


def drawn(found: Mapping[str, Mapping[str, Line]], baseline: str) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """What the page knows of each setting, without calibration and tracks; and the metrics with their meanings."""
    names = sorted({strategy for setting in found.values() for strategy in setting} - {baseline})
    rank = {name: at for at, name in enumerate(names)} | {baseline: -1}
    settings: list[dict[str, Any]] = []
    metrics: set[str] = set()
    for setting, strategies in found.items():
        known = {strategy: values(line) for strategy, line in strategies.items()}
        base = known.get(baseline, {})
        drawn_lines: list[dict[str, Any]] = []
        for strategy in sorted(known, key=lambda name: (name != baseline, name)):
            curves = {key: summary(mine) for key, mine in known[strategy].items()}
            gaps = {key: difference(mine, base[key]) for key, mine in known[strategy].items() if key in base}
            kept = {key: curve for key, curve in curves.items() if curve}
            metrics |= set(kept)
            drawn_lines.append(
                {
                    "label": strategy,
                    "rank": rank[strategy],
                    "curves": kept,
                    "differences": {k: g for k, g in gaps.items() if g},
                }
            )
        first = next(iter(strategies.values()))[0]
        target = (first.files.facts.get("labels") or {}).get("target")
        settings.append(
            {
                "name": setting,
                "family": first.data,
                "budget": first.files.setting[2],
                "axis": f"labels bought (+ {target:,} of the target split)" if target else "labels bought",
                "baseline": baseline if baseline in strategies else None,
                "metrics": sorted(set().union(*(line["curves"] for line in drawn_lines))),
                "lines": drawn_lines,
            }
        )
    for one in settings:  # two budgets of one name are told apart by their options
        if sum((other["family"], other["budget"]) == (one["family"], one["budget"]) for other in settings) > 1:
            one["regime"] = one["name"].rpartition(" · ")[2]
    for one in settings:
        one["budget"] = one.pop("regime", one["budget"])
    order = [*MEANINGS, *sorted(metrics - set(MEANINGS))]
    return settings, [[key, MEANINGS.get(key, key)] for key in order if key in metrics]
