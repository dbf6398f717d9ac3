"""How every figure looks and how it reaches the disk: colours, text, whole files, the same bytes each time."""

import io
import os
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names

from ..errors import UserError

FORMATS = ("png", "svg", "pdf")
# Okabe and Ito (2008), told apart by colour-blind readers.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)
LINES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)  # yellow is too faint on white for a line
BLACK_RANK = LINES.index(BLACK)  # the rank of what others are compared with
AREAS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, YELLOW)  # dots of classes: black is for their rims
MARKERS = "osD^vPX*<>hp"
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.5, 1.5)))
# Where installed, for class names in scripts that matplotlib's own font lacks.
WIDE_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "Arial Unicode MS", "Microsoft YaHei")
POOL, BEFORE, NOW = "#CFCFCF", "#3A3A3A", VERMILLION
STYLE: Any = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "text.parse_math": False,  # a dollar in a class name is a dollar
    "svg.hashsalt": "alrun",
    "pdf.fonttype": 42,
}


@contextmanager
def styled() -> Iterator[None]:
    """The house style, for as long as a figure is made and saved."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # not what the user's matplotlibrc says: the same run gives the same figure
        matplotlib.rcParams.update(STYLE)
        matplotlib.rcParams["font.family"] = ["DejaVu Sans", *(font for font in WIDE_FONTS if font in get_font_names())]
        # A letter that no font has becomes a box; its class stands in the CSV.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches that belongs to no window and no global list."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    return figure


def head(figure: Figure, *lines: str) -> None:
    """The figure's title, wrapped to its width."""
    width = int(13 * figure.get_figwidth())  # letters of 9.5 points
    text = [part for line in lines for part in textwrap.wrap(shorten(line, 3 * width), width)]
    figure.suptitle("\n".join(text), fontsize=9.5)


def look(rank: int) -> dict[str, Any]:
    """Colour, marker and dash of the line of this rank. The first 77 differ."""
    size = len(LINES)
    return {
        "color": LINES[rank % size],
        "marker": MARKERS[rank % len(MARKERS)],
        "linestyle": DASHES[rank // size % len(DASHES)],
    }


def shorten(name: str, most: int = 24) -> str:
    """A name on one line of at most `most` characters, its beginning and its end."""
    name = "".join(letter if letter.isprintable() else " " for letter in name)
    name = " ".join(name.split()) or "(empty)"
    if len(name) <= most:
        return name
    tail = most // 3
    return f"{name[: most - tail - 1].rstrip()}…{name[-tail:].lstrip()}"


def numbers(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    """Whole numbers with thousands separators on an axis."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis in [axes.xaxis] * x + [axes.yaxis] * y:
        axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def save(figure: Figure, table: pd.DataFrame, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Write the figure in each format and its numbers as CSV, each file whole or not at all; the paths."""
    metadata: dict[str, dict[str, None]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    written = []
    for kind in formats:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=metadata[kind])
        written.append(_replace(folder / f"{name}.{kind}", buffer.getvalue()))
    written.append(_replace(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n").encode()))
    return written


def demand_formats(formats: Sequence[str]) -> None:
    """Raise UserError for a format that is not known, or none at all."""
    unknown = [kind for kind in formats if kind not in FORMATS]
    if unknown or not formats:
        shown = f"unknown figure format {unknown[0]!r}" if unknown else "no figure format given"
        raise UserError(shown, f"choose from {', '.join(FORMATS)}")


def _replace(path: Path, content: bytes) -> Path:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror or error}", "is the disk full or read-only?") from error
    return path
