"""Tables of the entries: curves of a metric, costs."""

from typing import Any

import pandas as pd

from ..errors import UserError, nearest
from .entries import DAMAGE, Collection, Entry, LeftOut

MOST = 1e100  # no metric is beyond it, and means and squares of what is below are numbers
USUAL = "random"  # --baseline by default: nobody asked for it by name
LOWER = ("nll", "brier", "ece", "mae", "mse", "rmse", "loss", "entropy", "error")


def metric_key(collection: Collection, metric: str) -> str:
    """The key in metrics.jsonl that `metric` means: as it stands, or below test/. Raises UserError if no run has it."""
    known = {key for entry in collection.entries for key in entry.files.rows[-1]} - {"cycle"}
    for key in (f"test/{metric}", metric):
        if key in known:
            return key
    shown = sorted(key.removeprefix("test/") for key in known if key.startswith("test/") and "recall/" not in key)
    raise UserError(f"no run has the metric {metric!r}", *nearest(metric, shown), f"one of {', '.join(shown)}")


def demand_baseline(collection: Collection, baseline: str) -> None:
    """Raise UserError for a baseline that was asked for and that no run has; the usual one may be absent."""
    known = sorted({entry.strategy for entry in collection.entries})
    if baseline not in (USUAL, *known):
        raise UserError(
            f"no finished run of the baseline {baseline}", *nearest(baseline, known), f"one of {', '.join(known)}"
        )


def higher_is_better(key: str) -> bool:
    """The direction of a metric, by its name."""
    return not any(word in key.rpartition("/")[2].split("_") for word in LOWER)


def curves(collection: Collection, key: str) -> tuple[pd.DataFrame, list[LeftOut], list[str]]:
    """The table of curves of one metric (see stats.curves), the runs in which a value of it is missing, and notes.

    What is undefined before the first label only (a correlation with a constant prediction) is left out of the setting.
    Raises UserError if that leaves no run.
    """
    rows, left_out = [], []
    late: set[str] = set()
    for entry in collection.entries:
        gaps = [cycle for cycle, row in enumerate(entry.files.rows) if not _is_number(row.get(key))]
        if gaps == [0] and len(entry.files.rows) > 1:
            late.add(entry.setting)
        elif gaps:
            left_out.append(LeftOut(entry.folder, f"{key} is missing in cycle {gaps[0]}"))
            continue
        known = [cycle for cycle in range(len(entry.files.rows)) if cycle not in gaps]
        rows += [_point(entry, cycle, key) for cycle in known]
    if not rows:
        raise UserError(f"no run has {key} in every cycle", *_others(collection), "alrun show RUN shows what it has")
    table = pd.DataFrame(rows, columns=["setting", "strategy", "seed", "cycle", "labels", "value"])
    if late:
        table = table[~(table["setting"].isin(late) & (table["cycle"] == 0))].reset_index(drop=True)
    return table, left_out, [f"{setting}: {key} is undefined in cycle 0, which is left out" for setting in sorted(late)]


def _others(collection: Collection) -> list[str]:
    """A hint: the test metrics that a run has in every cycle."""
    whole = {key for entry in collection.entries for key in entry.files.rows[-1] if _everywhere(entry, key)}
    names = sorted(key.removeprefix("test/") for key in whole if key.startswith("test/") and "recall/" not in key)
    return [f"--metric takes what there is: {', '.join(names)}"] if names else []


def _everywhere(entry: Entry, key: str) -> bool:
    return all(_is_number(row.get(key)) for row in entry.files.rows)


def costs(collection: Collection) -> pd.DataFrame:
    """One row per run: setting, strategy, seed, bought (labels), select_s, total_s, peak_mb; NaN where not recorded."""
    rows = []
    for entry in collection.entries:
        counts = [int(row["n_labelled"]) for row in entry.files.rows]
        try:
            lines = entry.files.costs
            spent = [sum(float(line.get(part) or 0) for line in lines) for part in ("select_s", "total_s")]
            peak = max((float(line.get("peak_mb") or 0) for line in lines), default=0.0)
        except DAMAGE:
            lines = []
        found = [*spent, peak] if lines else [float("nan")] * 3
        rows.append([entry.setting, entry.strategy, entry.seed, counts[-1] - counts[0], *found])
    return pd.DataFrame(rows, columns=["setting", "strategy", "seed", "bought", "select_s", "total_s", "peak_mb"])


def _point(entry: Entry, cycle: int, key: str) -> tuple[str, str, int, int, int, float]:
    row = entry.files.rows[cycle]
    return entry.setting, entry.strategy, entry.seed, cycle, int(row["n_labelled"]), float(row[key])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST
