"""The selection process on the map of the features: one panel for each of a few cycles."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.lines import Line2D

from .files import RunFiles, spread
from .style import AREAS, BEFORE, NOW, POOL, head, new_figure, save, shorten, styled

PANELS = 6
NAMED = 12  # classes with a colour or marker of their own
GRID = {1: (1, 1), 2: (1, 2), 3: (1, 3), 4: (2, 2), 5: (2, 3), 6: (2, 3)}
NEVER, INITIAL = -2, -1


@styled()
def draw_tsne(run: RunFiles, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Pool in grey, bought before in dark, bought now in colour; and a second figure coloured by class."""
    if not run.has("map.npz"):
        return []
    items = _items(run)
    return [
        *_panels(run, items, _by_state, _state_legend(), "", folder, "tsne", formats),
        *_panels(run, items, _by_class(run), *_class_legend(run), folder, "tsne_classes", formats),
    ]


def _items(run: RunFiles) -> pd.DataFrame:
    """One row per shown pool item: index, x, y, class, placed, and the cycle it was bought in."""
    shown = run.arrays("map.npz", "index", "xy", "label", "placed")
    table = pd.DataFrame({"index": shown["index"], "x": shown["xy"][:, 0], "y": shown["xy"][:, 1]})
    table["class"], table["placed"] = shown["label"], shown["placed"]
    cycle = pd.Series(NEVER, index=table["index"])
    cycle[cycle.index.isin(run.items["initial"])] = INITIAL
    bought = run.selections.set_index("index")["cycle"]
    cycle.update(bought[bought.index.isin(cycle.index)])
    table["bought"] = cycle.to_numpy()
    return table[table["index"].isin(run.items["pool"])].reset_index(drop=True)


def _panels(
    run: RunFiles,
    items: pd.DataFrame,
    paint: Callable[[Axes, pd.DataFrame, int], None],
    legend: list[Line2D],
    note: str,
    folder: Path,
    name: str,
    formats: Sequence[str],
) -> list[Path]:
    acquiring = run.metrics.index[run.metrics["n_acquired"] > 0].tolist()
    cycles = spread(acquiring, PANELS) or [0]
    rows, columns = GRID[len(cycles)]
    figure = new_figure(max(5.2, 3.1 * columns), 3.2 * rows + 1.0)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, cycle in zip(panels, cycles, strict=False):
        paint(axes, items, cycle)
        axes.set_title(f"cycle {cycle} · {run.metrics['n_labelled'][cycle]:,} labels")
        axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        axes.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.6)
    for axes in panels[len(cycles) :]:
        axes.set_axis_off()
    head(figure, run.title, _coverage(run, items))
    figure.legend(
        handles=legend, loc="outside lower center", ncols=max(3, min(len(legend), 2 * columns)),
        title=note or None, title_fontsize=8, columnspacing=1.4, handletextpad=0.3,
    )  # fmt: skip
    return save(figure, items, folder, name, formats)


def _coverage(run: RunFiles, items: pd.DataFrame) -> str:
    """Which part of the pool is shown, and which of its places are not t-SNE's own."""
    pool, bought = len(run.items["pool"]), items["bought"] != NEVER
    wanted = len(run.selections) + len(run.items["initial"])
    shown = f"{len(items):,} of {pool:,}" if len(items) < pool else f"all {pool:,}"
    said = f"t-SNE of the features (no unit) · {shown} pool items"
    if placed := int(items["placed"].sum()):
        said += f"; {placed:,} placed by neighbours"
    if absent := wanted - int(bought.sum()):
        said += f"; {absent:,} bought items are not on the map"
    return said


def _size(count: int, largest: float) -> float:
    """Marker area in points²: many markers must not hide each other."""
    return float(np.clip(9000 / max(1, count), 3.0, largest))


def _by_state(axes: Axes, items: pd.DataFrame, cycle: int) -> None:
    before = items["bought"].between(INITIAL, cycle - 1)
    now = items["bought"] == cycle
    for part, colour, largest, edge in (
        (items[~before & ~now], POOL, 5.0, 0.0),
        (items[before], BEFORE, 14.0, 0.0),
        (items[now], NOW, 30.0, 0.5),
    ):
        size = _size(len(part), largest)
        axes.scatter(part["x"], part["y"], s=size, c=colour, linewidths=edge, edgecolors="white", rasterized=True)


def _state_legend() -> list[Line2D]:
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "markeredgewidth": 0}
    return [
        Line2D([], [], color=POOL, markersize=4, label="pool", **dot),
        Line2D([], [], color=BEFORE, markersize=5, label="bought before", **dot),
        Line2D([], [], color=NOW, markersize=6.5, label="bought in this cycle", **dot),
    ]


def _class_looks(size: int) -> list[tuple[str, str]]:
    """A colour and a marker for each class; beyond twelve classes the colour is a place on a scale."""
    if size <= NAMED:
        return [(AREAS[c % len(AREAS)], "o" if c < len(AREAS) else "^") for c in range(size)]
    scale = matplotlib.colormaps["turbo"]
    return [(to_hex(scale(c / (size - 1))), "o") for c in range(size)]


def _by_class(run: RunFiles) -> Callable[[Axes, pd.DataFrame, int], None]:
    names, markers = (np.array(column) for column in zip(*_class_looks(len(run.classes)), strict=True))  # (C,)
    full = to_rgba_array(names)[:, :3]  # (C, 3)
    pale = 0.4 * full + 0.6  # not transparent: a dense cluster of transparent dots is as strong as a bought one

    def paint(axes: Axes, items: pd.DataFrame, cycle: int) -> None:
        items = items[items["class"] >= 0]  # what nobody has labelled has no colour
        before = items["bought"].between(INITIAL, cycle - 1)
        now = items["bought"] == cycle
        for part, largest, colours, edge, rim in (
            (items[~before & ~now], 5.0, pale, 0.0, "none"),
            (items[before], 16.0, full, 0.6, "#555555"),
            (items[now], 36.0, full, 1.1, "black"),
        ):
            size = _size(len(part), largest)
            edge *= np.sqrt(size / largest)  # a rim must leave something of its dot
            for marker in np.unique(markers):
                these = part[markers[part["class"]] == marker]
                axes.scatter(
                    *(these["x"], these["y"]), s=size, c=colours[these["class"]], marker=marker,
                    linewidths=edge, edgecolors=rim, rasterized=True,
                )  # fmt: skip

    return paint


def _class_legend(run: RunFiles) -> tuple[list[Line2D], str]:
    """Legend entries, and a note where there are too many classes to name."""
    size = len(run.classes)
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "color": "#BBBBBB"}
    states = [
        Line2D([], [], markersize=5, markeredgecolor="#555555", markeredgewidth=0.6, label="bought before", **dot),
        Line2D([], [], markersize=7, markeredgecolor="black", markeredgewidth=1.1, label="bought in this cycle", **dot),
    ]
    if size > NAMED:
        return (
            states,
            f"{size} classes: the colour runs from class 0 (blue) to class {size - 1} (red), names in run.json",
        )
    named = [
        Line2D(
            [],
            [],
            linestyle="",
            color=colour,
            marker=marker,
            markersize=5.5,
            markeredgewidth=0,
            label=shorten(name, 20),
        )
        for (colour, marker), name in zip(_class_looks(size), run.classes, strict=True)
    ]
    return [*named, *states], ""
