"""Reliability of the test predictions of each line at a few cycles, seeds taken together."""

from typing import Any

import numpy as np

from ..collect import Entry
from ..collect.entries import DAMAGE
from ..plots.files import spread
from ..plots.reliability import reliability
from .markup import clean

CYCLES = 4


def calibrated(line: list[Entry]) -> list[dict[str, Any]]:
    """One entry for each shown cycle: labels, and (count, mean confidence, share right) of 15 equal bins."""
    found = []
    for cycle in spread(range(min(len(entry.files.rows) for entry in line)), CYCLES):
        parts = [part for entry in line if (part := _predicted(entry, cycle)) is not None]
        if not parts:
            continue
        bins = reliability(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        table = np.stack([bins.items, bins.confidence, bins.accuracy], axis=1).round(4)  # (15, 3)
        shown = clean(table.tolist())
        labels = int(line[0].files.rows[cycle]["n_labelled"])
        found.append({"cycle": cycle, "labels": labels, "bins": shown})
    return found


def _predicted(entry: Entry, cycle: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Confidence and whether it was right, of each test item; None where it cannot be read."""
    try:
        kept = entry.files.arrays(f"predictions/cycle_{cycle:03d}.npz", "test_prediction", "test_confidence")
        truth = entry.files.items["test_label"]
        return (kept["test_confidence"], kept["test_prediction"] == truth) if len(truth) else None
    except DAMAGE:
        return None
