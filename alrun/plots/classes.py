"""What was bought, class by class, against what the pool holds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .files import RunFiles
from .style import BLUE, VERMILLION, head, new_figure, numbers, save, shorten, styled

IN_ORDER = 12  # up to here classes keep their order; beyond, the most bought come first
NAMED = 200  # beyond, names would be smaller than print
COLUMN = 40  # names in one column


@styled()
def draw_classes(run: RunFiles, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Labels bought of each class (as the oracle said) and the number a random draw would expect."""
    names, size = run.classes, len(run.classes)
    bought = np.concatenate([run.items["initial_label"], run.selections["label"].to_numpy(dtype=np.int64)])
    counts = np.bincount(bought, minlength=size)[:size]  # (C,)
    known = run.items["pool_label"][run.items["pool_label"] >= 0]  # people may be the only ones who know
    pool = np.bincount(known, minlength=size)[:size]  # (C,)
    share = pool / max(1, pool.sum())
    table = pd.DataFrame(
        {"class": range(size), "name": names, "bought": counts, "pool": pool, "expected": share * counts.sum()}
    )
    spread = 2 * _deviation(pool, int(counts.sum()))
    table["low"], table["high"] = (table["expected"] - spread).clip(lower=0), table["expected"] + spread
    if size > IN_ORDER:
        table = table.sort_values(["bought", "class"], ascending=[False, True])
    figure = _ranks(table) if size > NAMED else _bars(table)
    never = int((counts == 0).sum())
    said = f"{counts.sum():,} labels bought" + (f" · {never} of {size} classes never" if never else "")
    head(figure, run.title, said)
    handles = [
        Patch(color=BLUE, label="bought"),
        Line2D(
            [], [], color=VERMILLION, marker="|", markersize=9, markeredgewidth=2, label="pool share, ±2 sd of chance"
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return save(figure, table, folder, "classes", formats)


def _deviation(pool: np.ndarray, n: int) -> np.ndarray:
    """(C,) standard deviation of a class's count in a random draw of n without replacement (hypergeometric)."""
    total = max(2, int(pool.sum()))
    share = pool / total
    return np.sqrt(n * share * (1 - share) * max(0, total - n) / (total - 1))


def _bars(table: pd.DataFrame) -> Figure:
    """A bar for each class with its name, in as many columns as the names need."""
    columns = -(-len(table) // COLUMN)
    rows = -(-len(table) // columns)
    figure = new_figure(max(5.6, 3.1 * columns), 1.7 + 0.17 * rows if rows > IN_ORDER else 1.7 + 0.26 * rows)
    all_axes = figure.subplots(1, columns, sharex=True, squeeze=False)[0]
    for k, axes in enumerate(all_axes):
        part = table.iloc[k * rows : (k + 1) * rows]
        y = np.arange(len(part))
        axes.barh(y, part["bought"], color=BLUE, height=0.72)
        _expectation(axes, part, y)
        axes.set_yticks(y, [shorten(name, 22) for name in part["name"]], fontsize=7.5 if rows > IN_ORDER else 8.5)
        axes.tick_params(axis="y", length=0)
        axes.set(ylim=(rows - 0.4, -0.6), xlabel="labels bought")
        axes.grid(axis="x")
        numbers(axes, x=True)
    return figure


def _expectation(axes: Axes, part: pd.DataFrame, y: np.ndarray) -> None:
    axes.hlines(y, part["low"], part["high"], color=VERMILLION, linewidth=1.2)
    axes.plot(part["expected"], y, "|", color=VERMILLION, markersize=9, markeredgewidth=2)


def _ranks(table: pd.DataFrame) -> Figure:
    """Too many classes for names: counts by rank, most bought first; the names are in the CSV."""
    figure = new_figure(7.0, 4.0)
    axes = figure.subplots()
    x = np.arange(1, len(table) + 1)
    axes.bar(x, table["bought"], color=BLUE, width=1.0)
    axes.vlines(x, table["low"], table["high"], color=VERMILLION, linewidth=0.4, alpha=0.6)
    axes.plot(x, table["expected"], "|", color=VERMILLION, markersize=3)
    axes.set(xlabel="classes, most bought first (names in the CSV)", ylabel="labels bought", xlim=(0, len(table) + 1))
    axes.grid(axis="y")
    numbers(axes, x=True, y=True)
    return figure
