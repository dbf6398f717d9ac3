"""How long a thousand runs take to read: python benchmarks/reading.py [RUNS]

One run of 11 cycles on 6,000 invented items is copied into RUNS folders (default 1,000) of ten strategies, two budgets
and as many seeds as that makes; then `alrun compare` and `alrun report` are timed as commands, from their start to
their end.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

STRATEGIES, BUDGETS = [f"strategy_{number}" for number in range(9)], ("low", "mid")


def invent(path: Path) -> None:
    """6,000 items of 10 overlapping classes: a pool of several thousand, as runs that are worth a page have."""
    rng = np.random.default_rng(0)
    label = rng.integers(10, size=6000)
    centre = rng.normal(size=(10, 32))
    np.savez(path, x=(centre[label] + rng.normal(size=(6000, 32))).astype(np.float32), y=label)


def copies(run: Path, root: Path, count: int) -> None:
    """`count` folders like the one of a run, each of another strategy, budget or seed, with other accuracies."""
    config, facts = (run / "config.yaml").read_text(), json.loads((run / "run.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for number in range(count):
        names = ["random", *STRATEGIES]
        strategy, budget = names[number % len(names)], BUDGETS[number // len(names) % len(BUDGETS)]
        seed = number // (len(names) * len(BUDGETS))
        home = root / "digits" / "none-linear" / f"{strategy}-{budget}" / f"s{seed}-{number:08x}"
        shutil.copytree(run, home, ignore=shutil.ignore_patterns("plots", ".lock", "run.log"))
        changed = config.replace("name: random", f"name: {strategy}").replace("name: mid", f"name: {budget}")
        (home / "config.yaml").write_text(changed.replace("seed: 0", f"seed: {seed}"))
        (home / "run.json").write_text(json.dumps(facts | {"id": home.name}))
        other = [line | {"test/accuracy": line["test/accuracy"] * (1 - number % 7 / 100)} for line in lines]
        (home / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in other))


def timed(*command: str) -> str:
    """Seconds of CPU and by the clock that a command takes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "alrun", *command], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{cpu:.1f} s of CPU, {wall:.1f} s by the clock"


def main(count: int) -> None:
    """A line for each command."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        invent(root / "items.npz")
        asked = ["run", "dataset=files", "dataset.input=x", "dataset.label=y", f"dataset.train={root / 'items.npz'}"]
        asked += ["dataset.test=0.2", "strategy=random", "budget=mid", f"runs_dir={root / 'one'}"]
        subprocess.run([sys.executable, "-m", "alrun", *asked], check=True, stdout=subprocess.DEVNULL)
        (run,) = (root / "one").glob("*/*/*/s0-*")
        copies(run, root / "many", count)
        print(f"{count} runs, {os.cpu_count()} cores")
        print("compare:", timed("compare", str(root / "many")))
        print("compare --out:", timed("compare", str(root / "many"), "--out", str(root / "compared")))
        print("report:", timed("report", str(root / "many"), "--out", str(root / "report.html")))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
