"""Run folders as a run would leave them, without a run: digits features, invented models."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

COLUMNS = "cycle,rank,index,label,score\n"


def fake_run(
    root: Path,
    *,
    strategy: str = "badge",
    seed: int = 0,
    dataset: str = "digits",
    budget: str = "low",
    n_classes: int = 10,
    pool: int = 1200,
    test: int = 500,
    batches: tuple[int, ...] = (20, 20, 20, 20, 20),
    names: list[str] | None = None,
    options: dict[str, Any] | None = None,
    dataset_options: dict[str, Any] | None = None,
    initial: int = 0,
    shown: int = 2000,
    gain: float = 1.0,
    skew: float = 0.0,
    graded: bool = False,
) -> Path:
    """Write one folder and return it. `shown` items are on the map, `gain` is how fast the curve rises."""
    rng = np.random.default_rng([seed, *f"{strategy}{options}{dataset_options}".encode()])
    folder = root / dataset / "none-linear" / f"{strategy}-{budget}" / f"s{seed}-{rng.integers(2**32):08x}"
    (folder / "predictions").mkdir(parents=True)
    names = names or [f"class {c}" for c in range(n_classes)]
    target = 5 * n_classes
    rows = rng.permutation(pool + test + target)
    share = np.arange(1, n_classes + 1) ** -skew
    labels = rng.choice(n_classes, size=len(rows), p=share / share.sum())
    pool_rows, test_rows, target_rows = rows[:pool], rows[pool : pool + test], rows[pool + test :]
    start, left = pool_rows[:initial], pool_rows[initial:]
    config = {
        "dataset": {"name": dataset, "pool": None, "target": 5} | (dataset_options or {}),
        "encoder": {"name": "none"},
        "model": {"name": "linear", "l2": 0.01},
        "strategy": {"name": strategy} | (options or {}),
        "budget": {"name": budget, "phases": [{"labels": 2, "cycles": len(batches)}]},
        "seed": seed,
        "runs_dir": str(root),
        "device": "cpu",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    facts = {
        "schema": 1,
        "classes": names,
        "labels": {"bought": sum(batches), "initial": initial, "target": target},
        "fingerprint": f"{dataset}-0123456789",
        "error": None,
    }
    (folder / "run.json").write_text(json.dumps(facts))
    np.savez(
        folder / "items.npz", pool=pool_rows, pool_label=labels[pool_rows], test=test_rows,
        test_label=labels[test_rows], target=target_rows, target_label=labels[target_rows],
        initial=start, initial_label=labels[start],
    )  # fmt: skip
    labelled, sizes, metrics, selections = list(start), [*batches, 0], [], [COLUMNS]
    for cycle, size in enumerate(sizes):
        grown = 1 - np.exp(-gain * len(labelled) / (4 * n_classes))
        accuracy = 1 / n_classes + (0.93 - 1 / n_classes) * grown
        right = rng.random(test) < accuracy
        wrong = (labels[test_rows] + rng.integers(1, n_classes, test)) % n_classes
        confidence = np.clip(rng.beta(1 + 8 * grown, 2, test) + 0.1 * right, 1 / n_classes, 1).astype(np.float32)
        np.savez(
            folder / f"predictions/cycle_{cycle:03d}.npz",
            test_prediction=np.where(right, labels[test_rows], wrong).astype(np.int32),
            test_confidence=confidence, pool_prediction=labels[pool_rows].astype(np.int32),
        )  # fmt: skip
        counts = np.bincount(labels[labelled], minlength=n_classes) if labelled else np.zeros(n_classes, dtype=int)
        line: dict[str, Any] = {"cycle": cycle, "n_labelled": len(labelled), "n_acquired": size}
        line |= {"test/accuracy": float(right.mean()), "test/nll": float((1.02 - grown) * np.log(n_classes))}
        line |= {"test/ece": float(abs(right.mean() - confidence.mean())), "train/loss": None}
        if graded:
            line |= {"target/nll": 1.7 - 0.5 * grown, "test/mae": 0.9 - 0.4 * grown, "test/qwk": 0.6 * grown - 0.02}
        metrics.append(json.dumps(line | {f"bought/{c}": int(count) for c, count in enumerate(counts)}))
        # Nearby rows are bought together now and then, as an uncertain region would be.
        chosen = left[:size] if cycle % 2 else sorted(left, key=lambda row: labels[row] % 3)[:size]
        left = left[~np.isin(left, chosen)]
        selections += [f"{cycle},{rank},{row},{labels[row]},\n" for rank, row in enumerate(chosen)]
        labelled += list(chosen)
    (folder / "metrics.jsonl").write_text("\n".join(metrics) + "\n")
    (folder / "selections.csv").write_text("".join(selections))
    angle = 2 * np.pi * labels / n_classes
    xy = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 40 * np.sqrt(1 + labels % 3)[:, None]
    xy += rng.normal(size=xy.shape) * 5
    index = np.union1d(pool_rows[:shown], labelled)
    np.savez(
        folder / "map.npz", index=index, xy=xy[index].astype(np.float32), label=labels[index],
        placed=~np.isin(index, pool_rows[:shown]),
    )  # fmt: skip
    return folder


def finished_run(
    root: Path,
    strategy: str,
    seed: int,
    values: list[float | None],
    *,
    dataset: str = "digits",
    budget: str = "low",
    labels: list[int] | None = None,
    metric: str = "test/accuracy",
    n_classes: int = 10,
    options: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    folder: str | None = None,
) -> Path:
    """Write what a comparison reads of a finished run with this curve; `labels` default to 0, 20, 40, ..."""
    counts = labels or [20 * cycle for cycle in range(len(values))]
    config = {
        "dataset": {"name": dataset, "target": 5}, "encoder": {"name": "none"},
        "model": {"name": "linear", "penalty": 1.0} | (model or {}), "strategy": {"name": strategy} | (options or {}),
        "budget": {"name": budget, "phases": [{"labels": 2, "cycles": len(values) - 1}]}, "seed": seed,
        "runs_dir": str(root), "device": "cpu", "threads": None, "plugins": [],
    }  # fmt: skip
    home = (
        root / dataset / "none-linear" / f"{strategy}-{budget}" / (folder or f"s{seed}-{len(list(root.rglob('s*')))}")
    )
    home.mkdir(parents=True)
    about = {
        "schema": 1, "alrun": "0.1.0", "git": None, "device": "cpu", "threads": 1, "platform": "Linux",
        "finished": "2026-01-01T00:00:00+00:00", "classes": [f"class {c}" for c in range(n_classes)],
        "labels": {"bought": counts[-1] - counts[0], "initial": counts[0], "target": 50},
        "fingerprint": f"{dataset}-0123456789", "batches": [1] * (len(values) - 1), "error": None,
    } | (facts or {})  # fmt: skip
    bought = [after - before for before, after in pairwise([*counts, counts[-1]])]
    lines = [
        {"cycle": cycle, "n_labelled": count, "n_acquired": size, metric: value}
        for cycle, (count, size, value) in enumerate(zip(counts, bought, values, strict=True))
    ]
    costs = [
        {"cycle": c, "select_s": 0.2, "train_s": 0.1, "total_s": 0.5, "peak_mb": 100.0 + c} for c in range(len(values))
    ]
    (home / "config.yaml").write_text(yaml.safe_dump(config))
    (home / "run.json").write_text(json.dumps(about))
    (home / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (home / "costs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in costs))
    (home / "summary.json").write_text(json.dumps({"aulc": {}, "final": {}, "labels": {"points": counts}}))
    return home


def sweep(
    root: Path, strategies: dict[str, float], seeds: int, *, noise: float = 0.01, points: int = 4, **options: Any
) -> None:
    """Finished runs of strategies whose curves lie so far above 0.3 to 0.6, with noise shared within a seed."""
    for seed in range(seeds):
        rng = np.random.default_rng([seed, *str(options.get("dataset", "")).encode()])
        shared, start = rng.normal(0, 0.03, points), 0.1 + 0.01 * seed
        for strategy, gain in strategies.items():
            rise = 0.3 + 0.1 * np.arange(points) + gain + shared + rng.normal(0, noise, points)
            finished_run(root, strategy, seed, [start, *rise.tolist()], **options)
