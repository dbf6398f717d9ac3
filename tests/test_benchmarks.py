"""The benchmarks still run: every method that `python -m benchmarks.selection` measures by default, few items."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
selection = importlib.import_module("benchmarks.selection")


@pytest.mark.slow
@pytest.mark.parametrize("method", selection.known_methods())
def test_every_method_is_measured(method: str) -> None:
    measured = selection.ours(method, selection.synthetic(2 * selection.BATCH + 3 * selection.LABELLED))
    assert measured["cpu_s"] > 0 and np.isfinite(measured["objective"])


@pytest.mark.slow
def test_every_kind_of_gradient_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "gradients.json"
    command = [sys.executable, "-m", "benchmarks.gradients", "--items", "8", "--repeat", "1", "--json", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    rows = json.loads(out.read_text())["rows"]
    assert {"scores", "loop", "label_scores", "vectors_sketched", "head_closed_form"} <= {row["method"] for row in rows}
    assert all(row["difference"] < 1e-5 for row in rows)
