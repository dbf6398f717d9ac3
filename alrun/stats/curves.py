"""Learning curves as one long table, and what is read off them.

A table of curves has one row per run and cycle: setting, strategy, seed, cycle, labels, value. A *setting* is what
strategies are compared in: data set, encoder, model and budget. A table of scores has one number per run: setting,
strategy, seed, score.
"""

import numpy as np
import pandas as pd

from ..metrics import area_under_curve
from .intervals import interval

LINE = ["setting", "strategy"]
SAME = 0.02  # seeds that differ by less than this share of what other strategies' do are one result


def aulc(curves: pd.DataFrame) -> pd.DataFrame:
    """Area under each run's learning curve over labels, divided by the width, so it reads like the metric: scores."""
    rows = [
        (*key, area_under_curve(part["labels"], part["value"]))
        for key, part in curves.groupby([*LINE, "seed"], sort=False)
    ]
    return pd.DataFrame(rows, columns=[*LINE, "seed", "score"]).astype({"score": float})


def final(curves: pd.DataFrame) -> pd.DataFrame:
    """The value at each run's last label count: scores."""
    last = curves.groupby([*LINE, "seed"], sort=False).tail(1)
    return last.rename(columns={"value": "score"})[[*LINE, "seed", "score"]].reset_index(drop=True)


def bands(curves: pd.DataFrame, *, kind: str, level: float, resamples: int, rng: np.random.Generator) -> pd.DataFrame:
    """Mean over seeds and its interval at each label count: setting, strategy, labels, seeds, mean, low, high, sd.

    A label count that not every seed of a line has is left out: it would change who is averaged.
    """
    found = []
    for (setting, strategy), part in curves.groupby(LINE, sort=False):
        table = part.pivot(index="seed", columns="labels", values="value").dropna(axis=1)  # (seeds, label counts)
        values = table.to_numpy()
        mean, low, high = interval(values, kind=kind, level=level, resamples=resamples, rng=rng)
        sd = values.std(axis=0, ddof=1) if len(table) > 1 else np.full(len(mean), np.nan)
        band = {"labels": table.columns.to_numpy(), "seeds": len(table), "mean": mean, "low": low, "high": high}
        found.append(pd.DataFrame({"setting": setting, "strategy": strategy} | band | {"sd": sd}))
    columns = ["setting", "strategy", "labels", "seeds", "mean", "low", "high", "sd"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def summarise(
    scores: pd.DataFrame, *, kind: str, level: float, resamples: int, rng: np.random.Generator
) -> pd.DataFrame:
    """One row per line of a table of scores: setting, strategy, seeds, mean, low, high, sd."""
    rows = []
    for key, part in scores.groupby(LINE, sort=False):
        values = part["score"].to_numpy()  # (seeds,)
        ends = interval(values, kind=kind, level=level, resamples=resamples, rng=rng)
        sd = values.std(ddof=1) if len(values) > 1 else np.nan
        rows.append([*key, len(values), *(float(end) for end in ends), sd])
    return pd.DataFrame(rows, columns=[*LINE, "seeds", "mean", "low", "high", "sd"])


def repetitions(curves: pd.DataFrame) -> list[str]:
    """Strategies whose seeds are one result told again: nothing random was left for the seed to change."""
    known = curves[curves["labels"] > 0].groupby([*LINE, "labels"])["value"]
    span = (known.max() - known.min()).groupby(level=[0, 1]).max()  # (setting, strategy) largest gap of two seeds
    usual = span.groupby(level=0).max()
    seeds = curves.groupby(LINE)["seed"].nunique()
    same = [pair for pair in span.index if span[pair] <= SAME * usual[pair[0]] and seeds[pair] > 1]
    found = {setting: [strategy for other, strategy in same if other == setting] for setting, _ in same}
    return [
        f"{setting}: the seeds of {', '.join(strategies)} gave one and the same curve from the first label on: "
        "it is one result, and its interval does not speak for other pools"
        for setting, strategies in found.items()
    ]
