"""What each family of strategies picks on two-dimensional toy data: docs/figures/toy_<family>.png.

Three data sets (moons, blobs with an outlier, an imbalanced mixture). Features are random Fourier features of a Gaussian
kernel (Rahimi and Recht, 2007), so that points near each other in the plane have similar directions, as with a good
encoder. Every strategy buys 4 labels in each of 4 cycles, from zero, with the linear model.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import make_blobs, make_moons

from alrun import registry
from alrun.config import DatasetConfig, Phase, Run, option
from alrun.data.source import Source
from alrun.data.split import split
from alrun.loop import cycles
from alrun.models.material import Material

FAMILIES = {
    "uncertainty": ("random", "entropy", "margin", "least_confidence", "dropquery"),
    "gradients": ("random", "badge", "less", "less_matching_pursuit", "alfamix"),
    "coverage": ("random", "coreset", "maxherding", "kmedoids", "probcover", "uherding"),
    "clusters": ("random", "typiclust", "activeft", "weighted_kmeans", "tcm", "select_al"),
}
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#D55E00")  # one a cycle (Okabe and Ito, 2008)
TEST, WIDTH, LENGTH = 100, 512, 0.35


def toys() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> points (n, 2), labels (n,)."""
    rng = np.random.default_rng(0)
    moons = make_moons(500, noise=0.1, random_state=0)
    centres = np.array([[0, 0], [2.2, 0.4], [1.0, 2.0]])
    x, y = make_blobs(480, centers=centres, cluster_std=0.3, random_state=0)
    outliers = np.array([[4.0, 3.2], [-1.6, 2.8], [4.1, -1.4]]) + rng.normal(0, 0.02, (3, 2))
    sizes = rng.choice(3, size=500, p=[0.85, 0.1, 0.05])
    mixture = centres[sizes] + rng.normal(0, 0.4, (500, 2))
    return {
        "moons": moons,
        "blobs with outliers": (np.vstack([x, outliers]), np.append(y, [0, 1, 2])),
        "imbalanced 85:10:5": (mixture, sizes),
    }


def fourier(x: np.ndarray) -> np.ndarray:
    """(n, WIDTH) features whose inner products approximate exp(-|a - b|^2 / (2 LENGTH^2))."""
    rng = np.random.default_rng(1)
    waves = rng.normal(0, 1 / LENGTH, (2, WIDTH))
    return (np.sqrt(2 / WIDTH) * np.cos(x @ waves + rng.uniform(0, 2 * np.pi, WIDTH))).astype(np.float32)


def picks(name: str, x: np.ndarray, y: np.ndarray) -> tuple[list[np.ndarray], float]:
    """Rows bought in each cycle, and the last test accuracy."""
    test = np.sort(np.random.default_rng(2).choice(len(x), TEST, replace=False))
    classes = tuple(f"class {c}" for c in range(int(y.max()) + 1))
    source = Source("toy", "table", x.astype(np.float32), y.astype(np.int64), classes, test, (), "toy")
    strategy = option("strategy", name)
    run = Run(
        dataset=DatasetConfig(name="toy", target=2),
        model=option("model", "linear"),
        strategy={"name": name, "method": strategy.get("method", name)} | registry.options("strategy", strategy),
    )
    run.budget.phases = [Phase(4, 4)]
    dataset = split(source, run.dataset, seed=0)
    features = fourier(x)
    parts = {"pool": dataset.pool, "target": dataset.target, "test": dataset.test}
    material = Material({part: torch.from_numpy(features[rows]) for part, rows in parts.items()}, len(classes), torch.device("cpu"))
    found = list(cycles(run, dataset, material, [4] * 4, torch.empty(0, dtype=torch.int64)))
    bought = [dataset.pool[cycle.selection.indices.numpy()] for cycle in found if cycle.selection]
    return bought, float(found[-1].metrics["test/accuracy"] or 0)


def draw(family: str, names: tuple[str, ...], out: Path) -> Path:
    """One row a data set, one column a strategy."""
    data = toys()
    figure = Figure(figsize=(2.5 * len(names), 2.6 * len(data) + 0.5), layout="constrained")
    axes = figure.subplots(len(data), len(names), squeeze=False)
    for row, (title, (x, y)) in zip(axes, data.items(), strict=True):
        for axis, name in zip(row, names, strict=True):
            bought, accuracy = picks(name, x, y)
            for label, marker in enumerate("o^s"):
                shown = x[y == label]
                axis.scatter(*shown.T, s=7, c="#cfcfcf", marker=marker, linewidths=0)
            for cycle, rows in enumerate(bought):
                axis.scatter(*x[rows].T, s=42, c=COLOURS[cycle], edgecolors="black", linewidths=0.6, label=f"cycle {cycle}")
            axis.set(xticks=[], yticks=[], xlabel=f"test accuracy {accuracy:.2f} with 16 labels")
            axis.xaxis.label.set_size(8)
            if axis is row[0]:
                axis.set_ylabel(title)
            if row is axes[0]:
                axis.set_title(name, fontsize=11)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    path = out / f"toy_{family}.png"
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent.parent / "docs/figures"
    folder.mkdir(parents=True, exist_ok=True)
    for family in sys.argv[1:] or FAMILIES:
        print(draw(family, FAMILIES[family], folder))
