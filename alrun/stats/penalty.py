"""How often is one strategy significantly better than another? The pairwise penalty matrix of the BADGE paper."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from .paired import TIE

COUNTS = ("doubling", "all")


class Penalty(NamedTuple):
    """Row beats column so often; `mean` is each column's mean over the others: lower is better."""

    matrix: pd.DataFrame  # (strategies, strategies)
    mean: pd.Series  # (strategies,)
    settings: int  # the largest a cell can be


def penalty_matrix(curves: pd.DataFrame, *, higher: bool, counts: str, level: float) -> Penalty:
    """P[i, j]: summed over settings, the share of label counts at which i beats j (Ash et al. 2020).

    i beats j where the paired t of their differences over seeds passes the two-sided level (5 seeds: 2.776). Label
    counts are those after 1, 2, 4, 8, ... purchases ("doubling", as in the paper) or after every purchase ("all"). The
    column mean is over the other strategies. A setting with one seed cannot be tested and is not counted. `curves` must
    be complete (see blocks.py).
    """
    names = list(dict.fromkeys(curves["strategy"]))
    total = np.zeros((len(names), len(names)))
    settings = 0
    for _, part in curves.groupby("setting", sort=False):
        table = part.pivot(index="strategy", columns=["seed", "cycle"], values="value").loc[names].dropna(axis=1)
        cycles = sorted({int(cycle) for cycle in table.columns.get_level_values("cycle") if cycle > 0})
        if counts == "doubling":
            cycles = [cycle for cycle in cycles if cycle & (cycle - 1) == 0]
        if not cycles or part["seed"].nunique() < 2:
            continue
        settings += 1
        values = np.stack([table.xs(cycle, level="cycle", axis=1).to_numpy() for cycle in cycles], axis=2)
        total += beats(values if higher else -values, level).mean(axis=2)
    matrix = pd.DataFrame(total, index=names, columns=names)
    return Penalty(matrix, matrix.sum(axis=0) / max(1, len(names) - 1), settings)


def beats(values: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    """(strategies, strategies, counts) is row significantly above column? values (strategies, seeds, counts)."""
    n = values.shape[1]
    if n < 2:
        return np.zeros((len(values), len(values), values.shape[2]), dtype=bool)
    differences = values[:, None] - values[None]  # (strategies, strategies, seeds, counts)
    mean, error = differences.mean(axis=2), differences.std(axis=2, ddof=1) / np.sqrt(n)
    return (mean > TIE) & (mean > stats.t.ppf((1 + level) / 2, n - 1) * error)
