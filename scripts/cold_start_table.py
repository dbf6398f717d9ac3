"""Tables and figures of docs/results/cold_start.md: `python scripts/cold_start_table.py RUNS_DIR [OUT_DIR]`.

Reads the finished runs of the budget cold_start below RUNS_DIR. For each (dataset, encoder-model): areas under the
curves of target NLL, test NLL and accuracy (MAE where classes are ratings), over the first third of the labels (early)
and over the rest (late); and the paired differences over seeds that the two claims are about, with 95 % t intervals.
Writes cold_start_tables.md, cold_start_tables.csv, figures/cold_start_claims.png and a figure of curves a setting.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image

from alrun.metrics import area_under_curve
from alrun.plots.draw import draw_comparison
from alrun.plots.style import BLUE, GREEN, VERMILLION, look, new_figure, save, styled
from alrun.rundir import RunDir, below
from alrun.stats.intervals import t_interval

EARLY, LATE = "early", "late"
# (part of the curve, strategy, what it is compared with)
DIVERSE = [(EARLY, "badge", other) for other in ("random", "less_alignment", "less_matching_pursuit", "entropy")]
SWITCHED = [
    (LATE, "random_then_entropy", "random"),
    (LATE, "alignment_then_entropy", "less_alignment"),
    (LATE, "random_then_entropy", "entropy"),
    (LATE, "badge", "random"),
]
BESIDE = [(part, "less_matching_pursuit", "random") for part in (EARLY, LATE)]  # in neither claim


class Setting(NamedTuple):
    """The runs on one dataset with one model."""

    name: tuple[str, str]
    folders: list[Path]
    metrics: tuple[str, ...]  # two likelihoods, and what says how often or how far the model is wrong
    areas: dict[tuple[str, str], pd.DataFrame]  # (metric, part) -> seeds x strategies


def read(root: Path) -> list[Setting]:
    """Every setting below a folder, by name."""
    found: dict[tuple[str, str], list[Path]] = {}
    for folder in below([root]):
        if folder.parts[-2].endswith("-cold_start") and RunDir(folder).summary() is not None:
            found.setdefault((folder.parts[-4], folder.parts[-3]), []).append(folder)
    if not found:
        raise SystemExit(f"no finished run of the budget cold_start below {root}")
    return [setting(name, folders) for name, folders in sorted(found.items())]


def setting(name: tuple[str, str], folders: list[Path]) -> Setting:
    """Areas of each run's early and late part; the point between them belongs to both."""
    lines = {folder: RunDir(folder).metrics() for folder in folders}
    graded = all("test/mae" in metrics[-1] for metrics in lines.values())
    wanted = ("target/nll", "test/nll", "test/mae" if graded else "test/accuracy")
    rows = []
    for folder, metrics in lines.items():
        strategy = folder.parts[-2].removesuffix("-cold_start")
        seed = int(folder.name[1:].partition("-")[0])
        counts = np.array([line["n_labelled"] for line in metrics])
        parts = {EARLY: counts <= counts[-1] / 3, LATE: counts >= counts[-1] / 3}
        for metric in wanted:
            values = np.array([line[metric] for line in metrics], dtype=object)
            rows += [
                (metric, part, seed, strategy, area_under_curve(counts[inside], values[inside]))
                for part, inside in parts.items()
            ]
    table = pd.DataFrame(rows, columns=["metric", "part", "seed", "strategy", "area"])
    twice = table.duplicated(["metric", "part", "seed", "strategy"])
    if twice.any():
        raise SystemExit(f"{name}: two runs of {table[twice].iloc[0].to_dict()}: keep one configuration")
    areas = {
        (str(metric), str(part)): group.pivot(index="seed", columns="strategy", values="area")
        for (metric, part), group in table.groupby(["metric", "part"])
    }
    return Setting(name, folders, wanted, areas)


def difference(areas: pd.DataFrame, one: str, other: str) -> dict[str, float] | None:
    """Mean of one minus other over the seeds that both have, its interval, and in how many one is lower."""
    if one not in areas or other not in areas:
        return None
    gaps = (areas[one] - areas[other]).dropna().to_numpy()
    if len(gaps) < 2:
        return None
    mean, low, high = (float(value) for value in t_interval(gaps, 0.95))
    return {"seeds": len(gaps), "mean": mean, "low": low, "high": high, "lower": int((gaps < 0).sum())}


def overview(one: Setting) -> list[str]:
    """Mean areas, a row a strategy, lowest late target NLL first."""
    nll = one.metrics[0]
    columns = [(metric, part) for metric in one.metrics for part in (EARLY, LATE)]
    means = pd.concat({column: one.areas[column].mean() for column in columns}, axis=1)
    seeds = one.areas[nll, LATE].notna().sum()
    header = " | ".join(f"{metric} {part}" for metric, part in columns)
    lines = [f"| strategy | seeds | {header} |", "|" + " --- |" * (len(columns) + 2)]
    for name, row in means.sort_values((nll, LATE)).iterrows():
        lines.append(f"| `{name}` | {seeds[name]} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    return lines


def claims(one: Setting) -> list[dict[str, object]]:
    """The comparisons of both claims and beside them, with every metric."""
    rows: list[dict[str, object]] = []
    for claim, comparisons in (("a", DIVERSE), ("b", SWITCHED), ("–", BESIDE)):
        for part, name, other in comparisons:
            for metric in one.metrics:
                found = difference(one.areas[metric, part], name, other)
                if found:
                    key = {"dataset": one.name[0], "model": one.name[1], "claim": claim, "part": part}
                    rows.append(key | {"strategy": name, "against": other, "metric": metric} | found)
    return rows


def told(row: Mapping[str, object]) -> str:
    """-0.05 (-0.07 to -0.03), bold where the interval excludes zero."""
    mean, low, high = (float(str(row[key])) for key in ("mean", "low", "high"))
    text = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"**{text}**" if low > 0 or high < 0 else text


def table(rows: list[dict[str, object]]) -> list[str]:
    """A row a comparison, the metrics side by side."""
    metrics = list(dict.fromkeys(str(row["metric"]) for row in rows))
    lines = [f"| claim | part | comparison | seeds | {' | '.join(metrics)} |", "|" + " --- |" * (4 + len(metrics))]
    keys = list(dict.fromkeys((row["claim"], row["part"], row["strategy"], row["against"]) for row in rows))
    for key in keys:
        mine = [row for row in rows if (row["claim"], row["part"], row["strategy"], row["against"]) == key]
        shown = " | ".join(told(row) for row in mine)
        lines.append(f"| {key[0]} | {key[1]} | `{key[2]}` - `{key[3]}` | {mine[0]['seeds']} | {shown} |")
    return lines


@styled()
def draw(rows: pd.DataFrame, folder: Path) -> list[Path]:
    """Differences of target NLL and of test NLL for the two claims, a line a setting, with their intervals."""
    titles = {
        "a": "claim a, early: BADGE minus ...\n(right of 0: diversity hurts)",
        "b": "claim b, late: entropy after ... minus staying with it\n(left of 0: entropy helps)",
    }
    metrics = ("target/nll", "test/nll")
    rows = rows[rows["metric"].isin(metrics) & rows["against"].isin(["random", "less_alignment"])]
    rows = rows[~((rows["claim"] == "b") & (rows["strategy"] == "badge"))]
    settings = list(dict.fromkeys(zip(rows["dataset"], rows["model"], strict=True)))
    figure = new_figure(9.4, 1.8 + 0.68 * len(settings))
    panels = figure.subplots(2, 2, sharex="col", sharey=True)
    for line, metric in zip(panels, metrics, strict=True):
        for axes, claim in zip(line, "ab", strict=True):
            for rank, other in enumerate(("random", "less_alignment")):
                chosen = (rows["claim"] == claim) & (rows["against"] == other) & (rows["metric"] == metric)
                _intervals(axes, rows[chosen], settings, rank)
            axes.axvline(0, color="#777777", linewidth=1)
            axes.grid(axis="x")
        line[0].set_ylabel(f"{metric.replace('/nll', ' NLL')} (nats)")
    for axes, claim in zip(panels[0], "ab", strict=True):
        axes.set_title(titles[claim])
    for axes in panels[1]:
        axes.set_xlabel("difference of mean NLL, 95 % t interval")
    panels[0, 0].set_yticks(range(len(settings)), [f"{name} · {model}" for name, model in settings])
    panels[0, 0].set_ylim(len(settings) - 0.4, -0.6)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return save(figure, rows, folder, "cold_start_claims", ("png",))


def _intervals(axes: Axes, part: pd.DataFrame, settings: list[tuple[str, str]], rank: int) -> None:
    at = [settings.index(name) + 0.22 * (rank - 0.5) for name in zip(part["dataset"], part["model"], strict=True)]
    error = np.abs(part[["low", "high"]].to_numpy().T - part["mean"].to_numpy())  # (2, settings)
    style = look(rank) | {"color": (BLUE, VERMILLION, GREEN)[rank], "linestyle": ""}
    label = {"random": "random", "less_alignment": "LESS-alignment"}[str(part["against"].iloc[0])] if len(part) else ""
    axes.errorbar(part["mean"], at, xerr=error, elinewidth=1.6, markeredgewidth=0, label=label, **style)


def main() -> None:
    """Write tables and figures."""
    root = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).resolve().parent.parent / "docs/results"
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    settings = read(root)
    text = ["<!-- made by scripts/cold_start_table.py; do not edit -->", ""]
    every: list[dict[str, object]] = []
    for one in settings:
        rows = claims(one)
        if not rows:
            print(f"{' · '.join(one.name)}: left out, no two strategies share two seeds")
            continue
        every += rows
        text += [f"## {' · '.join(one.name)}", "", *overview(one), "", *table(rows), ""]
        draw_comparison(one.folders, figures, ("png",), one.metrics)
    (out / "cold_start_tables.md").write_text("\n".join(text))
    frame = pd.DataFrame(every)
    frame.to_csv(out / "cold_start_tables.csv", index=False, float_format="%.4f", lineterminator="\n")
    draw(frame, figures)
    for path in figures.glob("*cold_start*.csv"):
        path.unlink()  # the numbers of the figures are those of the tables and of the run folders
    for path in figures.glob("*cold_start*.png"):
        Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)  # half the size, and it looks the same
    print(out / "cold_start_tables.md")


if __name__ == "__main__":
    main()
