"""Critical-difference diagram (Demšar 2006): average ranks on a line, bars over what the tests cannot tell apart."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from .style import BLACK, VERMILLION, head, new_figure, save, shorten, styled

STEP, BAR = 0.5, 0.28  # rows of names and of bars, in axis units


@styled()
def draw_ranks(
    table: pd.DataFrame, cliques: Sequence[Sequence[str]], title: str, note: str, folder: Path, formats: Sequence[str]
) -> list[Path]:
    """`table` has strategy and rank, best first; the better half is named on the left, the worse on the right."""
    names, ranks = list(table["strategy"]), list(table["rank"])
    size = len(names)
    left = -(-size // 2)
    depth = 0.5 + BAR * len(cliques) + STEP * left
    figure = new_figure(8.4, 1.1 + 0.42 * depth)
    axes = figure.subplots()
    low, high = 1.0, float(size)
    room = 0.42 * (high - low or 1.0)
    axes.set(xlim=(low - room, high + room), ylim=(-depth - 0.2, 0.9))
    axes.set_axis_off()
    axes.plot([low, high], [0, 0], color=BLACK, lw=1.2)
    for tick in MaxNLocator(nbins=9, integer=True).tick_values(low, high):
        if low <= tick <= high:
            axes.plot([tick, tick], [0, 0.14], color=BLACK, lw=1.0)
            axes.text(tick, 0.2, f"{tick:.0f}", ha="center", va="bottom", fontsize=8)
    axes.text((low + high) / 2, 0.62, "average rank (1 is best)", ha="center", va="bottom", fontsize=8.5)
    place = dict(zip(names, ranks, strict=True))
    for level, clique in enumerate(cliques):
        y = -0.3 - BAR * level
        ends = place[clique[0]], place[clique[-1]]
        pad = 0.006 * (high - low)
        axes.plot([ends[0] - pad, ends[1] + pad], [y, y], color=VERMILLION, lw=3.2, solid_capstyle="butt")
    start = 0.5 + BAR * len(cliques)
    for k, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        row = k if k < left else size - 1 - k
        _leader(
            axes, rank, -start - STEP * row, low if k < left else high, k < left, f"{shorten(name, 30)}  {rank:.2f}"
        )
    head(figure, title, note)
    shown = ["".join(chr(97 + level % 26) for level, clique in enumerate(cliques) if name in clique) for name in names]
    return save(figure, table.assign(alike=shown), folder, "ranks", formats)


def _leader(axes: Axes, rank: float, y: float, edge: float, left: bool, text: str) -> None:
    """From the rank on the line down, then sideways to the name."""
    axes.plot([rank, rank, edge], [0, y, y], color="#555555", lw=0.8)
    gap = -0.01 if left else 0.01
    axes.annotate(
        text, (edge, y), xytext=(600 * gap, 0), textcoords="offset points", ha="right" if left else "left",
        va="center", fontsize=8,
    )  # fmt: skip
