"""What a digits run spends beside training, evaluating and selecting: python benchmarks/overhead.py [STRATEGY]...

The share must stay below 5 % of the run. Pictures are timed apart: they are drawn once, after the last cycle.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import alrun.run
from alrun.launch import cells
from alrun.prepare import prepare
from alrun.run import Quiet, execute


def measure(strategy: str, folder: str) -> None:
    """One line: seconds of a run, of its pictures, and its cycles' overhead."""
    (cell,) = cells(["dataset=digits", f"strategy={strategy}", f"runs_dir={folder}"], multirun=False)
    prepared = prepare(cell.run)
    draw, drawing = alrun.run.draw_run, [0.0]

    def timed(*asked) -> list[Path]:
        began = time.perf_counter()
        try:
            return draw(*asked)
        finally:
            drawing[0] = time.perf_counter() - began

    alrun.run.draw_run = timed
    try:
        execute(prepared, Quiet())  # features and map into the cache
        began = time.perf_counter()
        done = execute(prepared, Quiet(), fresh=True)
        whole = time.perf_counter() - began
    finally:
        alrun.run.draw_run = draw
    costs = [json.loads(line) for line in (done.folder / "costs.jsonl").read_text().splitlines()]
    work = sum(line["train_s"] + line["eval_s"] + line["select_s"] for line in costs)
    beside = sum(line["total_s"] for line in costs) - work
    print(
        f"{strategy:12} run {whole:.2f} s: pictures {drawing[0]:.2f} s, training, evaluating, selecting {work:.3f} s, "
        f"beside them {1000 * beside / len(costs):.1f} ms a cycle = {100 * beside / whole:.1f} % of the run"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or ["random", "margin", "badge", "uherding"]:
            measure(name, folder)
