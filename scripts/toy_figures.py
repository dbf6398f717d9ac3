"""What each family of strategies picks on two-dimensional toy data: docs/figures/toy_<family>.png.

    python scripts/toy_figures.py [FAMILY ...]

Three data sets (moons, blobs with outliers, an imbalanced mixture). Features are random Fourier features of a Gaussian
kernel (Rahimi and Recht, 2007), so that points near each other in the plane have similar directions, as with a good
encoder. Every strategy buys 4 labels in each of 4 cycles, from zero, with the linear model, at seed 0.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.datasets import make_blobs, make_moons

from alrun import registry
from alrun.config import DatasetConfig, Phase, Run, option
from alrun.data.source import Source
from alrun.data.split import split
from alrun.loop import cycles
from alrun.models.material import Material
from alrun.types import Part

FAMILIES = {
    "uncertainty": ("random", "entropy", "margin", "least_confidence", "dropquery"),
    "gradients": ("random", "badge", "less", "less_matching_pursuit", "arena", "alfamix"),
    "coverage": ("random", "coreset", "maxherding", "kmedoids", "probcover", "uherding"),
    "clusters": ("random", "typiclust", "activeft", "weighted_kmeans"),
    "hybrids": (
        "weighted_kmeans",
        "weighted_kmeans_herding",
        "alfamix",
        "alfamix_herding",
        "badge",
        "badge_herding",
    ),
    "schedules": ("random", "typiclust", "margin", "tcm", "switch", "select_al"),
}
# Only what 4 cycles of 4 labels need in order to show anything; everything else is as shipped.
CHANGED: dict[str, dict[str, Any]] = {
    "switch": {"unit": "cycles", "schedule": [{"strategy": "random", "until": 2}, {"strategy": "margin"}]},
}
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC3311")  # one a cycle (after Okabe and Ito, 2008)
MARKERS, GREYS = "o^s", ("#d4d4d4", "#bdbdbd", "#a3a3a3")  # one a class
CYCLES, BATCH, TEST, WIDTH, LENGTH = 4, 4, 100, 512, 0.35


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


def picks(name: str, x: np.ndarray, y: np.ndarray) -> tuple[list[np.ndarray], float, float]:
    """Rows bought in each cycle; accuracy and balanced accuracy on the test rows after the last."""
    test = np.sort(np.random.default_rng(2).choice(len(x), TEST, replace=False))
    classes = tuple(f"class {c}" for c in range(int(y.max()) + 1))
    source = Source("toy", "table", x.astype(np.float32), y.astype(np.int64), classes, test, (), "toy")
    strategy = option("strategy", name) | CHANGED.get(name, {})
    run = Run(
        dataset=DatasetConfig(name="toy", target=2),
        model=option("model", "linear"),
        strategy={"name": name, "method": strategy.get("method", name)} | registry.options("strategy", strategy),
    )
    run.budget.phases = [Phase(BATCH, CYCLES)]
    dataset = split(source, run.dataset, seed=0)
    features = fourier(x)
    parts: dict[Part, np.ndarray] = {"pool": dataset.pool, "target": dataset.target, "test": dataset.test}
    rows = {part: torch.from_numpy(features[at]) for part, at in parts.items()}
    material = Material(rows, len(classes), torch.device("cpu"))
    found = list(cycles(run, dataset, material, [BATCH] * CYCLES, torch.empty(0, dtype=torch.int64)))
    bought = [dataset.pool[cycle.selection.indices.numpy()] for cycle in found if cycle.selection]
    last = found[-1].metrics
    return bought, float(last["test/accuracy"] or 0), float(last["test/balanced_accuracy"] or 0)


def panel(axis: Axes, name: str, x: np.ndarray, y: np.ndarray) -> None:
    """The data in grey, the picks on top: colour says the cycle, shape the class."""
    bought, accuracy, balanced = picks(name, x, y)
    for c, (marker, grey) in enumerate(zip(MARKERS, GREYS, strict=True)):
        axis.scatter(x[y == c, 0], x[y == c, 1], s=6, c=grey, marker=marker, linewidths=0)
        for cycle, rows in enumerate(bought):
            mine = x[rows[y[rows] == c]]
            axis.scatter(
                mine[:, 0], mine[:, 1], s=34, c=COLOURS[cycle], marker=marker, edgecolors="black", linewidths=0.6
            )
    axis.set(xticks=[], yticks=[])
    axis.set_aspect("equal", adjustable="datalim")
    axis.set_xlabel(f"accuracy {accuracy:.2f}, balanced {balanced:.2f}", fontsize=8)


def draw(family: str, names: tuple[str, ...], out: Path) -> Path:
    """One row a data set, one column a strategy."""
    data = toys()
    figure = Figure(figsize=(2.05 * len(names), 2.2 * len(data) + 0.7), layout="constrained")
    axes = figure.subplots(len(data), len(names), squeeze=False)
    for row, (title, (x, y)) in enumerate(data.items()):
        for column, name in enumerate(names):
            panel(axes[row, column], name, x, y)
        axes[row, 0].set_ylabel(title, fontsize=10)
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(name, fontsize=10)
    style: dict[str, Any] = {"linestyle": "", "markeredgecolor": "black", "markeredgewidth": 0.6}
    legend = [Line2D([], [], marker="o", color=colour, label=f"cycle {c}", **style) for c, colour in enumerate(COLOURS)]
    style["markeredgewidth"] = 0
    for c, (marker, grey) in enumerate(zip(MARKERS, GREYS, strict=True)):
        legend.append(Line2D([], [], marker=marker, color=grey, label=f"class {c}", **style))
    figure.legend(handles=legend, loc="outside lower center", ncols=len(legend), frameon=False, fontsize=9)
    path = out / f"toy_{family}.png"
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent.parent / "docs/figures"
    folder.mkdir(parents=True, exist_ok=True)
    for family in sys.argv[1:] or FAMILIES:
        print(draw(family, FAMILIES[family], folder))
