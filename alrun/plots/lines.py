"""Runs that differ only in the seed are one line: grouping, naming, mean and band."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..errors import UserError
from ..identity import USUAL, flat
from .files import PARTS, RunFiles
from .style import shorten

BASELINE = "random"  # what every other strategy has to beat


class Line(NamedTuple):
    """The runs behind one line of a figure."""

    label: str
    runs: list[RunFiles]  # by seed
    unfinished: list[RunFiles]  # fewer cycles than the longest of them: a mean over them would jump

    @property
    def strategy(self) -> str:
        """The strategy's name."""
        return str(self.runs[0].config["strategy"]["name"])

    @property
    def legend(self) -> str:
        """Label and number of seeds, which stay on one line."""
        return f"{shorten(self.label, 84)} ({len(self.runs)}\N{NO-BREAK SPACE}seed{'s' * (len(self.runs) != 1)})"


def group(runs: Sequence[RunFiles]) -> list[Line]:
    """One line for each configuration without its seed, sorted by label, `random` first.

    A label is the strategy's name, and in brackets the options in which runs of the same name differ, or in which
    anything but the strategy differs between lines of one figure.
    """
    found: dict[str, list[RunFiles]] = {}
    for run in runs:
        found.setdefault(json.dumps(_options(run), sort_keys=True, default=str), []).append(run)
    members = [sorted(same, key=lambda run: (run.config["seed"], str(run.folder))) for same in found.values()]
    for same in members:
        for one, two in pairwise(same):
            if one.config["seed"] == two.config["seed"]:
                raise UserError(
                    f"{one.folder} and {two.folder} are the same run (seed {one.config['seed']})",
                    "name one of them: a seed counts once",
                )
    lines = []
    for label, same in zip(_labels([_options(same[0]) for same in members]), members, strict=True):
        longest = max(len(run.metrics) for run in same)
        whole = [run for run in same if len(run.metrics) == longest]
        lines.append(Line(label, whole, [run for run in same if len(run.metrics) < longest]))
    return sorted(lines, key=lambda line: (line.strategy != BASELINE, line.label))


def mean_band(runs: Sequence[RunFiles], metric: str) -> pd.DataFrame:
    """Columns labels, n, mean, low, high: mean over seeds and its 95 % t interval, empty for one seed.

    The band holds the mean's true value 95 times of 100 if seeds are normal; it is not the spread of single runs.
    """
    from scipy.special import stdtrit

    tables = [run.metrics for run in runs]
    values = [
        pd.Series(table.get(metric, np.nan), index=table.index).set_axis(table["n_labelled"]).rename(seed)
        for seed, table in enumerate(tables)
    ]
    table = pd.concat(values, axis=1).sort_index()  # (label counts, seeds)
    # A label count that not every seed has (another pool size after clipping) would change who is averaged.
    table = table[table.notna().all(axis=1)]
    n, mean = table.shape[1], table.mean(axis=1)
    half = table.std(axis=1, ddof=1) * stdtrit(n - 1, 0.975) / np.sqrt(n) if n > 1 else np.nan
    return pd.DataFrame({"labels": table.index, "n": n, "mean": mean, "low": mean - half, "high": mean + half})


def _options(run: RunFiles) -> dict[str, Any]:
    """Everything a line has in common, flat: {"strategy.sigma": 1.0, ...}; and the content of its data."""
    return (
        USUAL | dict(flat({part: run.config[part] for part in PARTS})) | {"data": str(run.facts.get("fingerprint"))[:8]}
    )


def _labels(options: list[dict[str, Any]]) -> list[str]:
    """One label for each set of options, no two alike."""
    labels = []
    for mine in options:
        namesakes = [other for other in options if other["strategy.name"] == mine["strategy.name"]]
        shown = []
        for key in sorted(set().union(*options) - {"strategy.name"}):
            rivals = namesakes if key.startswith("strategy.") else options
            if len({json.dumps(rival.get(key), default=str) for rival in rivals}) > 1:
                shown.append(f"{key.removeprefix('strategy.')}={mine.get(key)}")
        labels.append(f"{mine['strategy.name']} ({', '.join(shown)})" if shown else str(mine["strategy.name"]))
    return labels
