"""Do the strategies gain what they should? Points of test accuracy above random, against reference numbers.

`python scripts/check_of_truth.py [--dataset cifar10] [--strategy uherding,random] [--seeds 5] [--json FILE]` runs
alrun's own loop from a cold start: five cycles of 2 labels a class, the linear model as shipped, features as they are
(`encoder=file`). A strategy's number is the test accuracy after 2, 4, ..., 10 labels a class, averaged, then over
seeds; `+/-` is the standard error of its paired difference to random. The reference is a sketch made before alrun was
written, with a linear model without bias and with a fixed penalty. Few seeds say little:
on CIFAR-10 random alone came to 57.0 in the first 5 seeds and to 55.6 in 15. Feature matrices lie below the folder
that ALRUN_DATA names.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from alrun import registry
from alrun.budget import schedule
from alrun.config import Run, strict
from alrun.data import load
from alrun.data.split import split
from alrun.encoders.cache import features
from alrun.launch import compose
from alrun.loop import cycles, initial_set
from alrun.models.material import Material
from alrun.types import Part

DATASETS = {  # feature file, pool, seeds
    "cifar10": ("cifar10/features_pca256.npz", 20_000, 5),
    "ag_news": ("ag_news/minilm_l6_v2.npz", 6_000, 10),
}
STRATEGIES = ("random", "entropy", "margin", "badge", "maxherding", "typiclust", "uherding")
REFERENCE = {
    "cifar10": {"uherding": 9.3, "maxherding": 8.4, "typiclust": 7.9, "margin": 1.0, "badge": 0.6, "entropy": -1.4},
    "ag_news": {"uherding": 3.7, "maxherding": 3.2, "margin": 2.5, "entropy": 2.0, "badge": 1.4},
}


def configured(path: Path, pool: int, strategy: str, seed: int, extra: list[str]) -> Run:
    """The run that `alrun run` with these words would do."""
    return strict(
        compose(
            [
                *("dataset=files", f"dataset.train='{path}'", "dataset.input=x_train", "dataset.label=y_train"),
                *("dataset.test_input=x_test", "dataset.test_label=y_test", f"dataset.pool={pool}"),
                *("encoder=file", f"encoder.path='{path}'", "encoder.key=x_train", "encoder.test_key=x_test"),
                *("model=linear", "budget=low", f"strategy={strategy}", f"seed={seed}", *extra),
            ]
        )
    )


def curves(name: str, path: Path, pool: int, strategies: list[str], seeds: int, extra: list[str]) -> dict:
    """strategy -> accuracy in per cent (seeds, cycles), without the cycle that has no labels."""
    first = configured(path, pool, "random", 0, extra)
    source = load(first.dataset, first.plugins)
    matrix = features(source, registry.build("encoder", first.encoder, first.plugins)(source))  # (n, F)
    found: dict[str, list[list[float]]] = {strategy: [] for strategy in strategies}
    for seed in range(seeds):
        for strategy in strategies:
            began = time.perf_counter()
            run = configured(path, pool, strategy, seed, extra)
            dataset = split(source, run.dataset, seed)
            batches, start = schedule(run.budget, dataset.n_classes, len(dataset.pool)), initial_set(run, dataset, 0)
            rows: dict[Part, np.ndarray] = {"pool": dataset.pool, "target": dataset.target, "test": dataset.test}
            parts = {part: torch.from_numpy(matrix[index]) for part, index in rows.items()}
            given = Material(parts, dataset.n_classes, torch.device("cpu"))
            curve = [cycle.metrics["test/accuracy"] for cycle in cycles(run, dataset, given, batches, start)]
            found[strategy].append([100 * float(value) for value in curve[1:] if value is not None])
            shown = " ".join(f"{value:5.1f}" for value in found[strategy][-1])
            print(f"# {name} seed {seed} {strategy:12}{shown}   {time.perf_counter() - began:6.1f} s", flush=True)
    return found


def show(name: str, found: dict) -> None:
    """The table of one dataset."""
    base = np.mean(found["random"], axis=1)  # (seeds,)
    print(f"\n{name}: accuracy averaged over the curve, {len(base)} seeds; random {base.mean():.1f}")
    print(f"{'strategy':12}{'above random':>13}{'+/-':>6}{'reference':>11}{'differs':>9}")
    for strategy in found:
        if strategy == "random":
            continue
        gain = np.mean(found[strategy], axis=1) - base  # (seeds,)
        error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
        known = REFERENCE[name].get(strategy)
        compared = f"{known:+11.1f}{gain.mean() - known:+9.1f}" if known is not None else f"{'-':>11}{'-':>9}"
        print(f"{strategy:12}{gain.mean():+13.1f}{error:6.1f}{compared}")
    print(flush=True)


def main() -> int:
    """Run and print one table a dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=sorted(DATASETS), action="append", help="only this one")
    parser.add_argument("--strategy", default=",".join(STRATEGIES), help="names, with commas")
    parser.add_argument("--seeds", type=int, help="other than the reference has")
    parser.add_argument("--json", type=Path, help="also write every accuracy here")
    parser.add_argument("override", nargs="*", help="further options, as alrun run takes them: model.penalty=0.1")
    chosen = parser.parse_args()
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("ALRUN_DATA", default)).resolve()
    strategies = ["random", *(name for name in chosen.strategy.split(",") if name != "random")]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    everything = {}
    for name in chosen.dataset or DATASETS:
        file, pool, seeds = DATASETS[name]
        if not (folder / file).is_file():
            print(f"no features at {folder / file}: set ALRUN_DATA to the folder that has them", file=sys.stderr)
            return 2
        everything[name] = curves(name, folder / file, pool, strategies, chosen.seeds or seeds, chosen.override)
        show(name, everything[name])
    if chosen.json:
        chosen.json.write_text(json.dumps(everything, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
