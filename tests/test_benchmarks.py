"""The benchmarks still run: every method that `python -m benchmarks.selection` measures by default, few items."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import selection


@pytest.mark.slow
@pytest.mark.parametrize("method", selection.known_methods())
def test_every_method_is_measured(method: str) -> None:
    measured = selection.ours(method, selection.synthetic(2 * selection.BATCH + 3 * selection.LABELLED))
    assert measured["cpu_s"] > 0 and np.isfinite(measured["objective"])
