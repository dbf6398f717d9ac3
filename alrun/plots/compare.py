"""Figures of a comparison, from tables: curves with their band, gains as a table, penalties as a heat map.

Colours are told apart by colour-blind readers: one hue from pale to dark, or purple against orange around zero.
"""

import textwrap
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from .curve import MEANING, SHARES, SIGNED, counts, limits
from .style import BLACK_RANK, LINES, head, look, new_figure, save, shorten, styled

GAIN, PENALTY = "PuOr", "Blues"
PLACES = ("", "¹", "²", "³")
NAME = 26  # letters of a strategy beside a table


def colours(names: Sequence[str], baseline: str) -> dict[str, int]:
    """The rank of colour, marker and dash of each strategy: the baseline is black, the others by name."""
    free = (rank for rank in count() if rank % len(LINES) != BLACK_RANK)
    return {baseline: BLACK_RANK} | {name: next(free) for name in sorted(set(names) - {baseline})}


@styled()
def draw_bands(
    bands: pd.DataFrame,
    ranks: dict[str, int],
    key: str,
    higher: bool,
    title: str,
    band: str,
    target: int | None,
    folder: Path,
    name: str,
    formats: Sequence[str],
) -> list[Path]:
    """Learning curves of one setting: mean over seeds and its 95 % band. Best at the last label count comes first."""
    last = bands.groupby("strategy", sort=False)["mean"].last().sort_values(ascending=not higher, kind="stable")
    texts = {}
    for strategy in last.index:
        seeds = int(bands.loc[bands["strategy"] == strategy, "seeds"].iloc[0])
        plural = "s" * (seeds != 1)
        texts[strategy] = f"{shorten(str(strategy), 60)} ({seeds}\N{NO-BREAK SPACE}seed{plural})"
    lines = sum(len(textwrap.wrap(text, 34)) for text in texts.values())
    figure = new_figure(8.2, max(3.9, 0.9 + 0.17 * lines))
    axes = figure.subplots()
    handles = []
    for strategy in last.index:
        mine, style = bands[bands["strategy"] == strategy], look(ranks[str(strategy)])
        handles += axes.plot(mine["labels"], mine["mean"], markeredgewidth=0, **style)
        if mine["low"].notna().any():
            axes.fill_between(mine["labels"], mine["low"], mine["high"], color=style["color"], alpha=0.12, lw=0)
    bought = f"labels bought (+ {target:,} of the target split)" if target else "labels bought"
    axes.set(xlabel=bought, ylabel=MEANING.get(key, key))
    axes.grid(axis="y")
    limits(axes, bands, -np.inf if key in SIGNED else 0.0, 1.0 if key in SHARES else np.inf)
    counts(axes, bands["labels"])
    banded = bool(bands["low"].notna().any())
    kind = "t interval" if band == "t" else "bootstrap interval"
    head(figure, title, *[f"mean over seeds with its 95 % {kind}"] * banded)
    wrapped = ["\n".join(textwrap.wrap(texts[strategy], 34)) for strategy in last.index]
    figure.legend(handles, wrapped, loc="outside right upper", fontsize=7.5)
    columns = ["strategy", "seeds", "labels", "mean", "low", "high", "sd"]
    return save(figure, bands[columns], folder, name, formats)


@styled()
def draw_gains(
    gains: pd.DataFrame, tell: Callable[[float], str], baseline: str, label: str, folder: Path, formats: Sequence[str]
) -> list[Path]:
    """Gain over the baseline: strategies x (data, regime), the best three of each column marked.

    `tell` writes a gain in its unit, in the cells and beside the colours.
    """
    order = {"low": 0, "mid": 1, "high": 2}
    pairs = {(data, regime) for data, regime in zip(gains["data"], gains["regime"], strict=True)}
    keys = sorted(pairs, key=lambda key: (key[0], order.get(key[1], 3), key[1]))
    mean = gains.groupby("strategy")["gain"].mean().sort_values(ascending=False, kind="stable")
    table = gains.pivot(index="strategy", columns=["data", "regime"], values="gain").loc[mean.index, keys]
    place = gains.pivot(index="strategy", columns=["data", "regime"], values="place").loc[mean.index, keys]
    values, places = table.to_numpy(), place.fillna(0).to_numpy(dtype=int)  # (strategies, columns)
    labels = ["\n".join([*(shorten(part, 18) for part in data.split(" · ")), regime]) for data, regime in keys]
    figure = new_figure(3.4 + 1.15 * len(keys), max(2.8, 1.7 + 0.24 * len(mean)))
    axes = figure.subplots()
    most = float(np.nanmax(np.abs(values))) or 1.0
    image = axes.imshow(values, cmap=GAIN, norm=Normalize(-most, most), aspect="auto")
    marked = [tell(gain) + PLACES[place] for gain, place in zip(gains["gain"], gains["place"], strict=True)]
    told = gains.assign(text=marked).pivot(index="strategy", columns=["data", "regime"], values="text")
    shown = told.loc[mean.index, keys].fillna("–").to_numpy(dtype=object)
    _grid(axes, list(mean.index), labels, shown, image, bold=places > 0)
    figure.colorbar(image, ax=axes, label=label, pad=0.02, format=lambda value, _: tell(value))
    head(figure, f"gain over {baseline}, mean over label counts and seeds", "¹ ² ³ best of a column")
    return save(figure, gains, folder, "gains", formats)


@styled()
def draw_penalty(matrix: pd.DataFrame, settings: int, note: str, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Pairwise penalty matrix (Ash et al. 2020): row beats column; the last row is the mean over the others."""
    size = len(matrix)
    mean = (matrix.sum(axis=0) / max(1, size - 1)).sort_values(kind="stable")
    names = list(mean.index)
    values = matrix.loc[names, names].to_numpy()  # (strategies, strategies)
    wide = max(5.6, 2.9 + 0.36 * size)
    figure = new_figure(wide, wide * 0.92)
    upper, lower = figure.subplots(2, 1, height_ratios=(size, 1), sharex=True)
    norm = Normalize(0, settings)
    texts = np.array([[f"{value:.1f}" if value else "" for value in row] for row in values], dtype=object)
    image = upper.imshow(values, cmap=PENALTY, norm=norm, aspect="auto")
    _grid(upper, names, names, texts, image)
    upper.tick_params(axis="x", labelbottom=False)
    upper.set_ylabel("beats ...")
    row = lower.imshow(mean.to_numpy()[None], cmap=PENALTY, norm=norm, aspect="auto")
    _grid(lower, ["mean"], names, np.array([[f"{value:.1f}" for value in mean]], dtype=object), row)
    lower.set_xticks(range(size), [shorten(name, NAME) for name in names], rotation=60, ha="right", fontsize=7.5)
    lower.set_xlabel("... is beaten (mean: lower is better)")
    figure.colorbar(image, ax=[upper, lower], label=f"settings (of {settings}), by share of label counts", pad=0.02)
    head(figure, "pairwise penalties: how often the row is significantly better than the column", note)
    return save(figure, matrix.rename_axis("strategy").reset_index(), folder, "penalty", formats)


def _grid(
    axes: Axes, rows: Sequence[str], columns: Sequence[str], texts: np.ndarray, image: matplotlib.image.AxesImage,
    bold: np.ndarray | None = None,
) -> None:  # fmt: skip
    """Names beside the cells and text in them, white on dark."""
    axes.set_yticks(range(len(rows)), [shorten(str(name), NAME) for name in rows], fontsize=8)
    axes.set_xticks(range(len(columns)), columns, fontsize=7.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    colour = np.asarray(image.to_rgba(np.asarray(image.get_array())))  # (rows, columns, 4)
    shades = colour[..., :3] @ np.array([0.299, 0.587, 0.114])  # (rows, columns) brightness
    for (i, j), text in np.ndenumerate(texts):
        strong = bold is not None and bool(bold[i, j])
        shade = "white" if shades[i, j] < 0.5 and text != "–" else "black"
        axes.text(j, i, text, ha="center", va="center", fontsize=7, color=shade, weight="bold" if strong else "normal")
