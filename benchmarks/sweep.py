"""Where the time of a sweep goes: ALRUN_DATA=FOLDER python benchmarks/sweep.py [OVERRIDE]...

Eight strategies x five seeds at the low budget on cached CIFAR-10 features, two runs at a time, by the command that
users give. The share of the cycles is the sum over runs of training, evaluating and selecting; the rest is starting,
composing, writing, pictures and waiting for each other. Overrides come after the benchmark's own.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ASKED = (
    "experiment=all_cifar10", "budget=low", "seed=range(5)", "threads=1",
    "strategy=random,margin,badge,coreset,typiclust,less,weighted_kmeans,maxherding",
)  # fmt: skip


def main(overrides: list[str]) -> None:
    """One sweep in a folder of its own, after one run that fills the caches; three lines."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "alrun", "run", *ASKED, *overrides, f"runs_dir={folder}/"]
        once = [*command[:-1], "strategy=random", "seed=0", f"runs_dir={folder}/first"]
        subprocess.run(once, check=True, stdout=subprocess.DEVNULL)
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*command, "--jobs", "2"], check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        runs = [path for path in Path(folder).glob("*/*/*/*/costs.jsonl") if "first" not in path.parts]
        lines = [json.loads(line) for path in runs for line in path.read_text().splitlines()]
        cycles = sum(line["train_s"] + line["eval_s"] + line["select_s"] for line in lines)
        whole = sum(json.loads(path.with_name("run.json").read_text())["seconds"] for path in runs)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{len(runs)} runs, {os.cpu_count()} cores, two at a time: {wall:.0f} s of wall time, {cpu:.0f} s of CPU")
    print(f"runs from begin to end: {whole:.0f} s, of which training, evaluating and selecting {cycles:.0f} s")
    print(f"everything else: {100 * (1 - cycles / (2 * wall)):.0f} % of the two workers' time")


if __name__ == "__main__":
    main(sys.argv[1:])
