"""Statistics of many runs: pure functions of tables. No file is read here, nothing is drawn."""

from .curves import aulc, bands, final, summarise
from .intervals import KINDS, Interval, interval
from .paired import TESTS, Paired, holm, p_value, paired, warning

__all__ = [
    "KINDS",
    "TESTS",
    "Interval",
    "Paired",
    "aulc",
    "bands",
    "final",
    "holm",
    "interval",
    "p_value",
    "paired",
    "summarise",
    "warning",
]
