"""Statistics of many runs: pure functions of tables. No file is read here, nothing is drawn."""

from .blocks import complete
from .curves import aulc, bands, final, repetitions, summarise
from .gains import REGIMES, gains, regime
from .intervals import FEW, KINDS, Interval, interval
from .paired import TESTS, Paired, holm, p_value, paired, warning
from .penalty import COUNTS, Penalty, penalty_matrix
from .ranks import Ranks, average_ranks
from .reach import costs, labels_to_reach

__all__ = [
    "COUNTS",
    "FEW",
    "KINDS",
    "REGIMES",
    "TESTS",
    "Interval",
    "Paired",
    "Penalty",
    "Ranks",
    "aulc",
    "average_ranks",
    "bands",
    "complete",
    "costs",
    "final",
    "gains",
    "holm",
    "interval",
    "labels_to_reach",
    "p_value",
    "paired",
    "penalty_matrix",
    "regime",
    "repetitions",
    "summarise",
    "warning",
]
