"""Is the linear model as good as its simple rivals at every number of labels?

`python -m benchmarks.linear_head [--json FILE]` prints test accuracy in per cent for 1 to 50 labels a class, mean over
seeds: the `linear` model as shipped, 1-NN, nearest centroid and plain logistic regression (free bias, C = 10), on the
feature matrices below the folder that ALRUN_DATA names. `stratified` draws the same number from each class, `random`
draws as many in all without looking. The bar: at most 2 points below the best, at most 1 point below 1-NN.
"""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from sklearn.linear_model import LogisticRegression

from alrun import registry
from alrun.config import option_file
from alrun.models.material import Material

FILES = {
    "ag_news": "ag_news/minilm_l6_v2.npz",
    "trec": "trec/minilm_l6_v2.npz",
    "banking77": "banking77/minilm_l6_v2.npz",
    "cifar10": "cifar10/features_pca256.npz",
}
SEEDS = {1: 20, 2: 20, 5: 10, 10: 10, 50: 3}  # labels a class: draws
METHODS = ("linear", "1-NN", "centroid", "logistic")


def unit(features: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def draw(labels: np.ndarray, per_class: int, stratified: bool, rng: np.random.Generator) -> np.ndarray:
    """Train rows to label: `per_class` of each class (all of a smaller one), or as many in all."""
    n_classes = labels.max() + 1
    if not stratified:
        return rng.choice(len(labels), min(len(labels), per_class * n_classes), replace=False)
    rows = [np.flatnonzero(labels == c) for c in range(n_classes)]
    return np.concatenate([rng.choice(of_class, min(per_class, len(of_class)), replace=False) for of_class in rows])


def predictions(method: str, known: tuple, rows: np.ndarray) -> np.ndarray:
    """Predicted classes (t,) of the test split."""
    train, labels, test, learner = known
    given = labels[rows]
    if method == "linear":
        model = learner(torch.from_numpy(rows), torch.from_numpy(given), np.random.default_rng(0))
        return model.outputs("test", torch.arange(len(test))).logits.argmax(dim=1).numpy()
    if method == "1-NN":
        return given[(test @ train[rows].T).argmax(axis=1)]
    if method == "centroid":
        classes = np.unique(given)
        centres = np.stack([train[rows[given == c]].mean(axis=0) for c in classes])
        return classes[(2 * test @ centres.T - np.square(centres).sum(axis=1)).argmax(axis=1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one label a class looks like regression to it
        return LogisticRegression(C=10, max_iter=2000).fit(train[rows], given).predict(test)


def measure(name: str, path: Path, draws: list[str]) -> list[dict]:
    """One record per kind of draw and number of labels."""
    with np.load(path, allow_pickle=False) as arrays:
        train, test = (arrays[key].astype(np.float32) for key in ("x_train", "x_test"))
        labels, truth = (arrays[key].astype(np.int64) for key in ("y_train", "y_test"))
    n_classes = int(labels.max()) + 1
    parts = {"pool": torch.from_numpy(train), "test": torch.from_numpy(test)}
    options = OmegaConf.to_container(OmegaConf.load(option_file("model", "linear")))
    learner = registry.build("model", options)(Material(parts, n_classes, torch.device("cpu")))
    known = unit(train), labels, unit(test), learner
    records = []
    for kind in draws:
        for per_class, seeds in SEEDS.items():
            scores: dict[str, list[float]] = {method: [] for method in METHODS}
            for seed in range(seeds):
                rows = draw(labels, per_class, kind == "stratified", np.random.default_rng([seed, per_class]))
                for method in METHODS:
                    scores[method].append(100 * float((predictions(method, known, rows) == truth).mean()))
            means = {method: float(np.mean(values)) for method, values in scores.items()}
            records.append({"dataset": name, "draw": kind, "per_class": per_class, "seeds": seeds} | means)
            show(records[-1])
    return records


def meets(record: dict) -> bool:
    """At most 2 points below the best of the others, at most 1 below 1-NN."""
    return record["linear"] >= max(record[m] for m in METHODS[1:]) - 2 and record["linear"] >= record["1-NN"] - 1


def show(record: dict) -> None:
    """One line of the table."""
    gap = record["linear"] - max(record[method] for method in METHODS[1:])
    numbers = "".join(f"{record[method]:9.1f}" for method in METHODS)
    line = f"{record['dataset']:10}{record['draw']:11}{record['per_class']:4}{record['seeds']:6}{numbers}{gap:+8.1f}"
    print(f"{line}  {'ok' if meets(record) else 'BELOW'}", flush=True)


def main() -> int:
    """Print the table; exit status 1 where a stratified line is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the table here")
    parser.add_argument("--dataset", choices=sorted(FILES), action="append", help="only this one (may be repeated)")
    parser.add_argument("--draw", choices=["stratified", "random"], action="append", help="only this kind of draw")
    chosen = parser.parse_args()
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("ALRUN_DATA", default))
    print(f"{'dataset':10}{'draw':11}{'per':>4}{'seeds':>6}{''.join(f'{method:>9}' for method in METHODS)}{'gap':>8}")
    records = []
    for name in chosen.dataset or FILES:
        path = folder / FILES[name]
        if not path.is_file():
            print(f"no features at {path}: set ALRUN_DATA to the folder that has them", file=sys.stderr)
            return 2
        records += measure(name, path, chosen.draw or ["stratified", "random"])
    if chosen.json:
        chosen.json.write_text(json.dumps(records, indent=1) + "\n")
    return 0 if all(meets(record) for record in records if record["draw"] == "stratified") else 1


if __name__ == "__main__":
    sys.exit(main())
