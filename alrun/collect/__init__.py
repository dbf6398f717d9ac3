"""Many run folders as tables. Needs pandas, never torch.

Runs are averaged only if nothing but the seed differs: another option, other data, another count of labels or another
version of the code is another line, or is left out with a sentence.
"""

from .entries import Collection, Entry, LeftOut
from .read import candidates, collect
from .tables import costs, curves, demand_baseline, higher_is_better, metric_key

__all__ = [
    "Collection",
    "Entry",
    "LeftOut",
    "candidates",
    "collect",
    "costs",
    "curves",
    "demand_baseline",
    "higher_is_better",
    "metric_key",
]
