"""Learning curves: how good the model is against the labels bought."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..errors import UserError
from .lines import Line, mean_band
from .style import head, look, new_figure, numbers, save, shorten, styled

PANELS = ("test/accuracy", "test/nll")
TOKENS = ("test/token_accuracy", "test/token_nll")  # where completions are known and there are no classes
GRADED = ("target/nll", "test/mae", "test/qwk")  # of ordinal tasks
MEANING = {
    "test/accuracy": "test accuracy",
    "test/nll": "test NLL (nats, lower is better)",
    "test/token_accuracy": "test token accuracy",
    "test/token_nll": "test token NLL (nats, lower is better)",
    "target/nll": "target NLL (nats, lower is better)",
    "test/mae": "test MAE (lower is better)",
    "test/rmse": "test RMSE (lower is better)",
    "test/qwk": "test quadratic weighted kappa",
    "test/spearman": "test Spearman correlation",
}
SHARES = ("test/accuracy", "test/token_accuracy", "test/qwk", "test/spearman")  # at most 1
SIGNED = ("test/qwk", "test/spearman")  # 0 is chance, not the least
LONG = 50  # beyond this ratio of the largest to the smallest label count the axis is logarithmic


@styled()
def draw_curve(
    lines: Sequence[Line],
    ranks: Mapping[str, int],
    title: str,
    folder: Path,
    name: str,
    formats: Sequence[str],
    metrics: Sequence[str] = (),
) -> list[Path]:
    """A panel for each metric, one line each with its 95 % t band. `ranks` fixes a line's colour by its label.

    Without `metrics`: accuracy and NLL, of tokens where there are no classes, or for an ordinal task the target
    split's NLL, MAE and kappa.
    """
    shown = _panels(lines, metrics)
    texts = {line.label: "\n".join(textwrap.wrap(line.legend, 30)) for line in lines}
    rows = sum(text.count("\n") + 1 for text in texts.values())
    figure = new_figure(2.4 + 3.5 * len(shown), max(3.5, 1.2 + 0.19 * rows))
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    tables: list[pd.DataFrame] = []
    handles: dict[str, Line2D] = {}
    for axes, metric in zip(panels, shown, strict=True):
        drawn = []
        for line in lines:
            band = mean_band(line.runs, metric)
            style = look(ranks[line.label])
            (handle,) = axes.plot(band["labels"], band["mean"], markeredgewidth=0, **style)
            if band["low"].notna().any():
                axes.fill_between(band["labels"], band["low"], band["high"], color=style["color"], alpha=0.14, lw=0)
            handles.setdefault(line.label, handle)
            drawn.append(band.assign(metric=metric, strategy=line.label))
        table = pd.concat(drawn, ignore_index=True)
        tables.append(table)
        axes.set(xlabel=_label(lines), ylabel=MEANING.get(metric, metric))
        axes.grid(axis="y")
        limits(axes, table, -np.inf if metric in SIGNED else 0.0, 1.0 if metric in SHARES else np.inf)
        counts(axes, table["labels"])
    banded = any(len(line.runs) > 1 for line in lines)
    head(figure, title, *["mean over seeds with its 95 % t interval"] * banded)
    figure.legend(handles.values(), [texts[label] for label in handles], loc="outside right upper")
    if missing := [f"{shorten(line.label, 40)} s{run.config['seed']}" for line in lines for run in line.unfinished]:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        figure.supxlabel(f"left out, unfinished: {', '.join(missing[:4])}{more}", fontsize=8, color="#555555")
    columns = ["metric", "strategy", "n", "labels", "mean", "low", "high"]
    return save(figure, pd.concat(tables)[columns].rename(columns={"n": "seeds"}), folder, name, formats)


def _panels(lines: Sequence[Line], metrics: Sequence[str]) -> Sequence[str]:
    known = [set(run.metrics.columns[run.metrics.notna().any()]) for line in lines for run in line.runs]
    if not metrics:
        if all("test/mae" in columns for columns in known):
            return GRADED
        tokens = all("test/token_nll" in columns and "test/accuracy" not in columns for columns in known)
        return TOKENS if tokens else PANELS
    absent = [metric for metric in metrics if not any(metric in columns for columns in known)]
    if absent:
        found = sorted(name for name in set.union(*known) if "/" in name and name.count("/") == 1)
        raise UserError(f"no run has the metric {absent[0]!r}", f"they have {', '.join(found)}")
    return metrics


def _label(lines: Sequence[Line]) -> str:
    """The axis counts what the budget paid for; the target split's labels are free to no one and said beside it."""
    target = {(run.facts.get("labels") or {}).get("target") for line in lines for run in line.runs}
    known = target.pop() if len(target) == 1 else None
    return f"labels bought (+ {known:,} of the target split)" if known else "labels bought"


def limits(axes: Axes, table: pd.DataFrame, bottom: float, top: float) -> None:
    """Room for the means and most of the bands: an interval of two seeds is wider than the figure."""
    mean = table["mean"].dropna()
    if mean.empty:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", color="#555555")
        axes.set_yticks([])
        return
    room = max(0.02, float(np.ptp(mean)))
    low = max(table["low"].min(), mean.min() - 0.4 * room) if table["low"].notna().any() else mean.min()
    high = min(table["high"].max(), mean.max() + 0.4 * room) if table["high"].notna().any() else mean.max()
    low, high = min(low, mean.min()) - 0.06 * room, max(high, mean.max()) + 0.06 * room
    axes.set_ylim(max(bottom, low), min(top + 0.01, high))


def counts(axes: Axes, labels: pd.Series) -> None:
    """Label counts on the x axis, logarithmic for long budgets, with zero kept."""
    positive = np.unique(labels[labels > 0])
    if len(positive) < 3 or positive[-1] < LONG * positive[0]:
        numbers(axes, x=True)
        return
    axes.set_xscale("symlog", linthresh=positive[0], linscale=0.5)
    axes.set_xlim(-0.15 * positive[0] if labels.min() == 0 else 0.85 * positive[0], 1.15 * positive[-1])
    decades = [m * 10**k for k in range(9) for m in (1, 2, 5)]
    ticks = [tick for tick in decades if 1.5 * positive[0] < tick <= positive[-1]]
    if len(ticks) > 6:
        ticks = [tick for tick in ticks if str(tick)[0] == "1"]
    ticks = [0, positive[0], *ticks]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
