"""How many labels until it is good enough? Labels to reach a value, and what they cost."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .curves import LINE


def labels_to_reach(
    curves: pd.DataFrame, thresholds: Mapping[str, float], baseline: str, *, higher: bool
) -> pd.DataFrame:
    """Median over seeds of the label count at which a curve first reaches its setting's threshold.

    Linear between two measured counts. A run that never reaches it counts as infinite, so the median is infinite where
    half of the seeds do not. Columns: setting, strategy, threshold, seeds, reached (seeds), labels, saved (share of the
    baseline's median that is not needed; NaN where either is infinite).
    """
    rows = []
    for (setting, strategy), part in curves.groupby(LINE, sort=False):
        if setting not in thresholds:
            continue
        aim = thresholds[str(setting)]
        counts = np.array(
            [crossing(run["labels"], run["value"], aim, higher=higher) for _, run in part.groupby("seed", sort=False)]
        )  # (seeds,)
        middle = float(np.median(counts)) if np.isfinite(counts).any() else np.inf
        rows.append([setting, strategy, aim, len(counts), int(np.isfinite(counts).sum()), middle])
    table = pd.DataFrame(rows, columns=["setting", "strategy", "threshold", "seeds", "reached", "labels"])
    base = table[table["strategy"] == baseline].set_index("setting")["labels"]
    theirs = table["setting"].map(base).to_numpy(dtype=float)
    mine = table["labels"].to_numpy(dtype=float)
    known = np.isfinite(theirs) & np.isfinite(mine) & (theirs > 0)
    return table.assign(saved=np.where(known, 1 - mine / np.where(known, theirs, 1), np.nan))


def crossing(labels: pd.Series, values: pd.Series, aim: float, *, higher: bool) -> float:
    """The first label count at which the polygon through the points is at `aim` or better; infinite if never."""
    x, y = np.asarray(labels, dtype=np.float64), np.asarray(values, dtype=np.float64)
    gap = y - aim if higher else aim - y  # (points,) 0 or more is good enough
    good = np.flatnonzero(gap >= 0)
    if not len(good):
        return float("inf")
    k = int(good[0])
    if k == 0:
        return float(x[0])
    return float(x[k - 1] + (x[k] - x[k - 1]) * -gap[k - 1] / (gap[k] - gap[k - 1]))


def costs(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean cost of a line's runs, per label bought.

    `runs` has one row per run: setting, strategy, seed, bought, select_s, total_s, peak_mb. Columns of the result:
    setting, strategy, seeds, select_ms and total_ms per label, share (of time on selecting), peak_mb (largest).
    """
    known = runs[runs["bought"] > 0]
    each = known.assign(
        select_ms=1000 * known["select_s"] / known["bought"],
        total_ms=1000 * known["total_s"] / known["bought"],
        share=known["select_s"] / known["total_s"].where(known["total_s"] > 0),
    )
    grouped = each.groupby(LINE, sort=False)
    table = grouped.agg(
        seeds=("seed", "size"), select_ms=("select_ms", "mean"), total_ms=("total_ms", "mean"),
        share=("share", "mean"), peak_mb=("peak_mb", "max"),
    )  # fmt: skip
    return table.reset_index()
