"""Which strategy is best over many settings? Average ranks, Friedman's test, Wilcoxon-Holm cliques."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from .paired import holm, p_value, smallest_p


class Ranks(NamedTuple):
    """Strategies by average rank (1 is best), and which of them the tests cannot tell apart."""

    table: pd.DataFrame  # strategy, rank; best first
    friedman: float  # p of "all strategies are alike"; NaN where it cannot be tested
    pairs: pd.DataFrame  # one, other, p, p_holm
    cliques: list[list[str]]  # maximal runs of neighbours in which no pair differs
    settings: int
    said: list[str]


def average_ranks(scores: pd.DataFrame, *, higher: bool, level: float) -> Ranks:
    """Ranks of the mean scores within each setting, averaged over settings; ties share their mean rank.

    Friedman (1937) asks whether any strategy differs, then Wilcoxon signed-rank tests with Holm's correction ask which
    pairs do (Demšar 2006; Benavoli et al. 2016 on why not Nemenyi). `scores` must be complete (see blocks.py).
    """
    table = scores.groupby(["setting", "strategy"], sort=False)["score"].mean().unstack()  # (settings, strategies)
    ranks = table.round(12).rank(axis=1, ascending=not higher).mean().sort_values(kind="stable")
    names, settings, alpha = list(ranks.index), len(table), 1 - level
    said: list[str] = []
    friedman = float("nan")
    if len(names) > 2 and settings > 1:
        if np.ptp(table.to_numpy(), axis=1).any():
            friedman = float(stats.friedmanchisquare(*(table[name] for name in names)).pvalue)
        else:
            friedman = 1.0
    duels = list(combinations(names, 2))
    p = [p_value(table[one] - table[other], "wilcoxon") for one, other in duels]
    corrected = holm(p)
    pairs = pd.DataFrame(duels, columns=["one", "other"]).assign(p=p, p_holm=corrected)
    if np.isfinite(friedman) and friedman > alpha:
        said.append(f"Friedman's test sees no difference at all (p = {friedman:.2g}): pairs are not looked at")
        alike = {frozenset(duel) for duel in duels}
    else:
        alike = {frozenset(duel) for duel, value in zip(duels, corrected, strict=True) if not value <= alpha}
    if duels and not smallest_p(settings, "wilcoxon") * len(duels) <= alpha:
        enough = int(np.ceil(np.log2(2 * len(duels) / alpha)))
        said.append(
            f"{settings} settings and {len(duels)} pairs: after Holm the smallest p is "
            f"{min(1.0, smallest_p(settings, 'wilcoxon') * len(duels)):.2g}, so no pair can differ whatever the data; "
            f"{enough} settings could, or fewer strategies"
        )
    found = pd.DataFrame({"strategy": names, "rank": ranks.to_numpy()})
    return Ranks(found, friedman, pairs, cliques(names, alike), settings, said)


def cliques(names: list[str], alike: set[frozenset[str]]) -> list[list[str]]:
    """Maximal stretches of `names` (by rank) in which every pair is alike; of two or more."""
    found: list[list[str]] = []
    end = 0
    for start in range(len(names)):
        stop = start + 1
        while stop < len(names) and all(frozenset((names[stop], other)) in alike for other in names[start:stop]):
            stop += 1
        if stop - start > 1 and stop > end:
            found.append(names[start:stop])
            end = stop
    return found
