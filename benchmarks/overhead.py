"""What alrun itself costs: `python -m benchmarks.overhead [--json FILE]`.

Runs the default budget on digits three times as a user does (a process each, warm feature cache) and shows where the
seconds go: training, evaluation and selection; a cycle's own overhead (everything else between two commits, the writing
included); and the process around the cycles (imports, data, map, figures).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORK = ("train_s", "eval_s", "select_s")


def run(folder: Path, strategy: str) -> dict[str, float]:
    """Seconds of one run by what they were spent on."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "alrun", "run", "dataset=digits", f"strategy={strategy}", f"runs_dir={folder}"]
    subprocess.run([*command, "--fresh"], check=True, capture_output=True)
    wall = time.perf_counter() - began
    (costs,) = folder.rglob("costs.jsonl")
    lines = [json.loads(line) for line in costs.read_text().splitlines()]
    cycles = sum(line["total_s"] for line in lines)
    work = sum(line[name] for line in lines for name in WORK)
    return {"wall_s": wall, "work_s": work, "cycle_overhead_s": cycles - work, "around_s": wall - cycles}


def main() -> None:
    """Print the median of three runs and the overhead's share of the run."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--strategy", default="badge")
    ask.add_argument("--json", type=Path)
    args = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), args.strategy)  # fills the caches
        runs = [run(Path(folder), args.strategy) for _ in range(3)]
    found = {name: statistics.median(one[name] for one in runs) for name in runs[0]}
    found["cycle_overhead_share"] = found["cycle_overhead_s"] / found["wall_s"]
    print(f"train, evaluate, select   {found['work_s']:7.3f} s")
    print(
        f"overhead of the cycles    {found['cycle_overhead_s']:7.3f} s   {found['cycle_overhead_share']:.1%} of the run"
    )
    print(f"around the cycles         {found['around_s']:7.3f} s")
    print(f"whole run                 {found['wall_s']:7.3f} s")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
