"""Is a strategy better than the baseline? Differences between runs that share their seed, tested and corrected.

For one seed all strategies share split, initial labels and the model's initial weights, so the difference within a seed
has much less noise than two means apart: every test here is paired.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import UserError
from .intervals import interval

Test = Literal["t", "wilcoxon"]
TESTS: tuple[str, ...] = get_args(Test)
TIE = 1e-12  # differences below this are rounding of equal numbers
COLUMNS = ["setting", "strategy", "pairs", "mean", "baseline", "difference", "low", "high", "sd", "p", "p_holm"]
COUNTS = ["wins", "ties", "losses"]


class Paired(NamedTuple):
    """The table of differences, and the cells that could not be paired, in words."""

    table: pd.DataFrame
    missing: list[str]


def paired(
    scores: pd.DataFrame,
    baseline: str,
    *,
    higher: bool,
    test: str,
    kind: str,
    level: float,
    resamples: int,
    rng: np.random.Generator,
) -> Paired:
    """Every strategy against the baseline of its setting, over the seeds that both have.

    Columns: setting, strategy, pairs, mean and baseline (means over the paired seeds), difference (strategy minus
    baseline) with its interval and SD, p (two-sided), p_holm (over the strategies of the setting), wins, ties, losses.
    A win is a seed in which the strategy is better: higher if `higher`, else lower. Settings without the baseline are
    named in `missing` and have no rows.
    """
    rows: list[list[object]] = []
    missing: list[str] = []
    for setting, part in scores.groupby("setting", sort=False):
        table = part.pivot(index="seed", columns="strategy", values="score")  # (seeds, strategies)
        if baseline not in table:
            missing.append(f"{setting}: no finished run of the baseline {baseline}")
            continue
        missing += [f"{setting}: {gap}" for gap in gaps(table, baseline)]
        mine: list[list[object]] = []
        for strategy in [name for name in part["strategy"].unique() if name != baseline]:
            both = table[[strategy, baseline]].dropna()
            if both.empty:
                continue
            values = (both[strategy] - both[baseline]).to_numpy()  # (pairs,)
            ends = interval(values, kind=kind, level=level, resamples=resamples, rng=rng)
            mean, low, high = (float(end) for end in ends)
            sd = values.std(ddof=1) if len(values) > 1 else np.nan
            means = both.mean()
            found = [len(values), means[strategy], means[baseline], mean, low, high, sd, p_value(values, test), np.nan]
            mine.append([setting, strategy, *found, *outcomes(values, higher)])
        corrected = holm([float(str(row[COLUMNS.index("p")])) for row in mine])
        for row, value in zip(mine, corrected, strict=True):
            row[COLUMNS.index("p_holm")] = value
        rows += mine
    return Paired(pd.DataFrame(rows, columns=[*COLUMNS, *COUNTS]), list(dict.fromkeys(missing)))


def gaps(table: pd.DataFrame, baseline: str) -> list[str]:
    """Seeds that only the baseline or only another has, as sentences, one for all strategies that lack the same.

    `table` is (seeds, strategies) with NaN for a missing run.
    """
    has = table.notna()
    lacks: dict[tuple[bool, str], list[str]] = {}
    for strategy in [name for name in table if name != baseline]:
        for theirs, alone in ((False, has[baseline] & ~has[strategy]), (True, has[strategy] & ~has[baseline])):
            if alone.any():
                seeds = ", ".join(str(seed) for seed in has.index[alone])
                lacks.setdefault((theirs, seeds), []).append(strategy)
    said = []
    for (theirs, seeds), names in lacks.items():
        named = ", ".join(names)
        lacking, other = (baseline, named) if theirs else (named, baseline)
        has_none = "has" if theirs or len(names) == 1 else "have"
        said.append(f"{lacking} {has_none} no seed {seeds}, dropped from {other} too")
    return said


def outcomes(differences: ArrayLike, higher: bool) -> tuple[int, int, int]:
    """Wins, ties and losses."""
    values = np.asarray(differences, dtype=np.float64) * (1 if higher else -1)
    return int((values > TIE).sum()), int((np.abs(values) <= TIE).sum()), int((values < -TIE).sum())


def p_value(differences: ArrayLike, test: str) -> float:
    """Two-sided p of no difference: paired t (Student 1908) or Wilcoxon signed-rank (1945); NaN for fewer than 2 pairs.

    1 if all differences are zero. Wilcoxon drops zeros, and is exact where scipy's `auto` is.
    """
    values = np.asarray(differences, dtype=np.float64)
    if test not in TESTS:
        raise UserError(f"unknown test {test!r}", f"choose from {', '.join(TESTS)}")
    if len(values) < 2:
        return float("nan")
    if (np.abs(values) <= TIE).all():
        return 1.0
    if test == "t":
        error = values.std(ddof=1) / np.sqrt(len(values))
        return float(2 * stats.t.sf(abs(values.mean()) / error, len(values) - 1)) if error > TIE else 0.0
    return float(stats.wilcoxon(np.where(np.abs(values) <= TIE, 0.0, values)).pvalue)


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """p-values corrected for their number (Holm 1979): all of them hold at once. NaN is no test and stays NaN."""
    given = np.asarray(p, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    steps = np.maximum.accumulate(given[order] * np.arange(len(order), 0, -1)) if len(order) else np.empty(0)
    corrected = np.full(given.shape, np.nan)
    corrected[order] = np.minimum(1.0, steps)
    return corrected


def smallest_p(pairs: int, test: str) -> float:
    """The smallest p the test can give with so many pairs: 2/2ⁿ for Wilcoxon (and the sign test), 0 for t from 2 on."""
    if test == "t":
        return 0.0 if pairs >= 2 else float("nan")
    return min(1.0, 2.0 / 2.0**pairs) if pairs else float("nan")


def warning(pairs: int, comparisons: int, test: str, level: float) -> str | None:
    """What so few pairs cannot show at 1 - level, in one sentence; None where the test can reach it."""
    alpha, most = 1 - level, max(1, comparisons)
    if pairs < 2:
        return f"{pairs} paired seed: no interval and no test; 5 seeds are a look, 20 a result"
    if test == "t":
        if pairs >= 5:
            return None
        needed = stats.t.ppf(1 - alpha / 2, pairs - 1)
        passes = f"to pass {100 * alpha:.2g} % uncorrected"
        return f"{pairs} paired seeds: a difference must be {needed:.1f} standard errors {passes}"
    if smallest_p(pairs, test) * most <= alpha:
        return None
    enough = int(np.ceil(np.log2(2 * most / alpha)))
    corrected = f", {min(1, smallest_p(pairs, test) * most):.3g} after Holm over {most}" if most > 1 else ""
    return (
        f"{pairs} paired seeds: the smallest p a {test} test can give is {smallest_p(pairs, test):.3g}{corrected}: "
        f"it cannot reach {alpha:.2g} whatever the data, {enough} seeds can"
    )
