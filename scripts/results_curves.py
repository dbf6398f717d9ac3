"""Learning curves of docs/results/README.md: `python scripts/results_curves.py RUNS_DIR [OUT_DIR]`.

One figure a data set below RUNS_DIR: a row for each budget, a column for each family of strategies; accuracy minus that
of random at the same number of labels, mean over the seeds that both have, with 95 % t bands. Beside each figure a CSV
of what it shows.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from alrun.plots.style import head, look, new_figure, save, styled
from alrun.rundir import RunDir, below
from alrun.stats.intervals import t_interval

FAMILIES = {
    "One score per item": ["entropy", "margin", "least_confidence", "random_then_entropy"],
    "Coverage": ["maxherding", "kmedoids", "probcover", "coreset", "activeft"],
    "Clusters": ["typiclust", "tcm", "select_al", "weighted_kmeans", "dropquery"],
    "Coverage and the model": ["uherding", "alfamix", "alfamix_herding", "badge_herding", "weighted_kmeans_herding"],
    "Gradients": ["badge", "less", "less_matching_pursuit", "arena"],
}  # the last one falls far below the others and has an axis of its own
ORDER = ("low", "mid", "high")
COLUMNS = ["dataset", "budget", "strategy", "seeds", "labels", "gain", "low", "high"]


def read(root: Path) -> pd.DataFrame:
    """A row for each run and number of labels: accuracy in points."""
    found = []
    for folder in below([root]):
        run = RunDir(folder)
        if run.summary() is None:
            continue
        strategy, _, budget = folder.parts[-2].rpartition("-")
        seed = int(folder.name[1:].partition("-")[0])
        key = {"dataset": folder.parts[-4], "budget": budget, "strategy": strategy, "seed": seed}
        found += [key | {"labels": row["n_labelled"], "value": 100 * row["test/accuracy"]} for row in run.metrics()]
    return pd.DataFrame(found)


def gains(runs: pd.DataFrame) -> pd.DataFrame:
    """COLUMNS: what each strategy is ahead of random, over the seeds that both have."""
    base = runs[runs["strategy"] == "random"].drop(columns="strategy")
    on = ["dataset", "budget", "seed", "labels"]
    both = runs[runs["strategy"] != "random"].merge(base, on=on, suffixes=("", "_random"), validate="many_to_one")
    both["gain"] = both["value"] - both["value_random"]
    rows = []
    for (dataset, budget, strategy, labels), group in both.groupby(["dataset", "budget", "strategy", "labels"]):
        interval = (
            t_interval(group["gain"].to_numpy(), 0.95) if len(group) > 1 else (group["gain"].mean(), np.nan, np.nan)
        )
        rows.append((dataset, budget, strategy, len(group), labels, *map(float, interval)))
    return pd.DataFrame(rows, columns=COLUMNS)


def panel(axes: Axes, table: pd.DataFrame, names: list[str], usual: int) -> dict[str, Line2D]:
    """The strategies of a family at one budget; the line of each."""
    lines = {}
    axes.axhline(0, color="#7F7F7F", linewidth=1)
    for rank, name in enumerate(names):
        mine = table[table["strategy"] == name].sort_values("labels")
        if mine.empty:
            continue
        seeds = int(mine["seeds"].min())
        said = name if seeds == usual else f"{name} ({seeds} seed{'s' * (seeds > 1)})"
        (lines[said],) = axes.plot(mine["labels"], mine["gain"], markersize=3.5, **look(rank))
        axes.fill_between(mine["labels"], mine["low"], mine["high"], color=look(rank)["color"], alpha=0.12, linewidth=0)
    axes.grid(axis="y")
    return lines


def draw(table: pd.DataFrame, dataset: str, folder: Path) -> Path:
    """The figure of a data set, and its numbers."""
    budgets = [name for name in ORDER if name in set(table["budget"])]
    usual = int(table["seeds"].mode()[0])
    with styled():
        figure = new_figure(2.9 * len(FAMILIES), 3.0 * len(budgets) + 1.2)
        grid = figure.subplots(len(budgets), len(FAMILIES), sharex="row", squeeze=False)
        lines: dict[str, dict[str, Line2D]] = {family: {} for family in FAMILIES}
        for row, budget in zip(grid, budgets, strict=True):
            mine = table[table["budget"] == budget]
            for axes, (family, names) in zip(row, FAMILIES.items(), strict=True):
                lines[family] |= panel(axes, mine, names, usual)
                axes.set_title(f"{family}, {budget}")
                axes.set_xlabel("labels")
            row[0].set_ylabel("accuracy minus random's, points")
            lows, highs = zip(*(axes.get_ylim() for axes in row[:-1]), strict=True)
            for axes in row[:-1]:
                axes.set_ylim(min(lows), max(highs))
        for axes, drawn in zip(grid[-1], lines.values(), strict=True):
            axes.legend(drawn.values(), drawn.keys(), loc="upper center", bbox_to_anchor=(0.5, -0.22))
        head(figure, f"{dataset}: {usual} seeds, mean and 95 % t band of the differences paired by seed")
        name = f"curves_{dataset}"
        return next(path for path in save(figure, table, folder, name, ["png"]) if path.stem == name)


def main() -> None:
    """A figure a data set."""
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).resolve().parent.parent / "docs/results/figures"
    out.mkdir(parents=True, exist_ok=True)
    table = gains(read(Path(sys.argv[1])))
    for dataset, mine in table.groupby("dataset"):
        print(draw(mine, str(dataset), out))


if __name__ == "__main__":
    main()
