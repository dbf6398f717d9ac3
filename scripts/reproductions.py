"""Tables and figures of the reproductions from saved runs: `python scripts/reproductions.py RUNS [NAME ...]`.

RUNS has a folder of runs for each experiment (`alrun run experiment=greedy runs_dir=RUNS/greedy`; all gains_* share
RUNS/gains). A page docs/results/NAME.md keeps its text; what stands between its two marks is replaced. Differences are
paired by seed, their intervals 95 % t intervals over seeds.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from alrun.plots.files import RunFiles
from alrun.plots.style import BLACK, BLUE, VERMILLION, head, new_figure, save, styled
from alrun.rundir import RunDir, below
from alrun.stats.intervals import t_interval

PAGES = Path(__file__).resolve().parent.parent / "docs" / "results"
OPEN, CLOSE = "<!-- made by scripts/reproductions.py -->", "<!-- end -->"
RADIUS = {"probcover": "delta", "maxherding": "sigma"}
REGIMES = ("low", "mid", "high")


def read(*folders: Path) -> pd.DataFrame:
    """One row a finished run: what it was, its AULC and final accuracy in points, seconds of selection."""
    found = []
    for folder in below([folder for folder in folders if folder.exists()]):
        summary, run = RunDir(folder).summary(), RunFiles(folder)
        if summary is None:
            continue
        strategy, name = run.config["strategy"], str(run.config["strategy"]["name"])
        found.append(
            {
                "data": str(run.config["dataset"]["name"]),
                "imbalance": float(run.config["dataset"]["imbalance"]),
                "budget": str(run.config["budget"]["name"]),
                "strategy": name,
                "radius": strategy.get(RADIUS.get(name, "")),
                "seed": int(run.config["seed"]),
                "aulc": 100 * summary["aulc"]["accuracy"],
                "final": 100 * summary["final"]["accuracy"],
                "curve": 100 * run.metrics["test/accuracy"].iloc[1:].mean(),  # no label, no choice
                "select_s": sum(row["select_s"] for row in run.costs),
                "greedy": _sum(run, "greedy_objective"),
                "exchanged": _sum(run, "objective"),
                "exchanges": _sum(run, "exchanges"),
            }
        )
    return pd.DataFrame(found)


def _sum(run: RunFiles, note: str) -> float:
    return float(run.metrics[f"strategy/{note}"].sum()) if f"strategy/{note}" in run.metrics else float("nan")


def paired(runs: pd.DataFrame, rival: pd.DataFrame, column: str) -> np.ndarray:
    """Differences to a rival in the seeds that both have."""
    return (runs.set_index("seed")[column] - rival.set_index("seed")[column]).dropna().to_numpy()


def gain(runs: pd.DataFrame, rival: pd.DataFrame, column: str) -> str:
    """`+1.2 (+0.8 to +1.6)`, bold where the interval leaves out zero."""
    mean, low, high = t_interval(paired(runs, rival, column), 0.95)
    text = f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
    return f"**{text}**" if low > 0 or high < 0 else text


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def against_random(runs: pd.DataFrame, column: str, over: str, values: list[object], word: str) -> str:
    """Strategies x the values of an option: gain over random, the number of seeds if they are not all the same."""
    base = {value: runs[(runs[over] == value) & (runs["strategy"] == "random")] for value in values}
    rows = []
    for name, mine in runs[runs["strategy"] != "random"].groupby("strategy"):
        cells = []
        for value in values:
            here = mine[mine[over] == value]
            fewer = f", {len(here)} seeds" if len(here) < len(base[value]) else ""
            cells.append(gain(here, base[value], column) + fewer if len(here) > 1 else "")
        rows.append([f"`{name}`", *cells])
    level = [f"{base[value][column].mean():.1f}" if len(base[value]) else "" for value in values]
    order = sorted(rows, key=lambda row: -sum(float(cell.strip("*").split()[0]) for cell in row[1:] if cell))
    return markdown(["strategy", *(f"{word} {value:g}" if word else str(value) for value in values)], [
        ["`random`, points", *level], *order,
    ])  # fmt: skip


def nearest_neighbour(root: Path) -> str:
    """AULC and final accuracy against random."""
    runs = read(root / "nearest_neighbour")
    base, rows = runs[runs["strategy"] == "random"], []
    for name, mine in runs.groupby("strategy"):
        wins = "" if name == "random" else f"{int((paired(mine, base, 'aulc') > 0).sum())}/{len(mine)}"
        means = [f"{mine[column].mean():.1f}" for column in ("aulc", "final")]
        rows.append([f"`{name}`", str(len(mine)), *means, "" if name == "random" else gain(mine, base, "aulc"), wins])
    rows.sort(key=lambda row: -float(row[2]))
    return markdown(["strategy", "seeds", "AULC", "final", "AULC over random (95 %)", "ahead"], rows)


def imbalanced(root: Path) -> str:
    """Gain over random for each imbalance."""
    runs = read(root / "imbalanced")
    return against_random(runs, "aulc", "imbalance", sorted(runs["imbalance"].unique()), "largest class x")


def greedy(root: Path) -> str:
    """Greedy coverage, exchange and random with the seconds of selection; what exchange adds to the objective."""
    runs = read(root / "greedy")
    base, rows = runs[runs["strategy"] == "random"], []
    for name in ("maxherding", "kmedoids", "random"):
        mine = runs[runs["strategy"] == name]
        over = "" if name == "random" else gain(mine, base, "aulc")
        figures = [f"{mine[column].mean():.1f}" for column in ("aulc", "final", "select_s")]
        rows.append([f"`{name}`", str(len(mine)), figures[0], over, *figures[1:]])
    swaps = runs[runs["strategy"] == "kmedoids"]
    more = 100 * (swaps["exchanged"] / swaps["greedy"] - 1)
    rivals = gain(swaps, runs[runs["strategy"] == "maxherding"], "aulc")
    table = markdown(["strategy", "seeds", "AULC", "over random (95 %)", "final", "seconds of selection"], rows)
    swapped = (
        f"{swaps['exchanges'].mean():.1f} swaps a run, objective {more.mean():+.2f} % (at most {more.max():+.2f} %)"
    )
    return f"{table}\n\nExchange after greedy: {swapped}, AULC {rivals} points."


def radius(root: Path) -> str:
    """AULC by radius, with what the methods choose themselves and random; the figure."""
    runs = read(root / "radius_probcover", root / "radius_maxherding")
    fixed = read(root / "imbalanced", root / "greedy")
    fixed = fixed[(fixed["imbalance"] == 1) & fixed["strategy"].isin(["random", "probcover", "maxherding"])]
    fixed = fixed.drop_duplicates(["strategy", "seed"])
    draw_radius(runs, fixed)
    level = fixed[fixed["strategy"] == "random"]
    rows = []
    for (name, value), mine in runs.groupby(["strategy", "radius"]):
        mean, over = f"{mine['aulc'].mean():.1f}", gain(mine, level, "aulc")
        rows.append([f"`{name}`, {RADIUS[str(name)]} {value:g}", str(len(mine)), mean, over])
    rule = fixed[fixed["strategy"] == "probcover"]
    if len(rule):
        rows += [["`probcover`, purity rule", str(len(rule)), f"{rule['aulc'].mean():.1f}", gain(rule, level, "aulc")]]
    rows += [["`random`", str(len(level)), f"{level['aulc'].mean():.1f}", ""]]
    return markdown(["strategy", "seeds", "AULC", "over random (95 %)"], rows)


@styled()
def draw_radius(runs: pd.DataFrame, fixed: pd.DataFrame) -> None:
    """AULC against the radius, mean and 95 % t interval over seeds."""
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    rows = []
    for (name, value), mine in runs.groupby(["strategy", "radius"]):
        mean, low, high = t_interval(mine["aulc"], 0.95)
        rows.append({"strategy": name, "radius": value, "seeds": len(mine), "mean": mean, "low": low, "high": high})
    table = pd.DataFrame(rows)
    for name, colour, marker in (("probcover", VERMILLION, "s"), ("maxherding", BLUE, "o")):
        mine = table[table["strategy"] == name]
        label = f"{name}, {RADIUS[name]} ({mine['seeds'].min()} seeds)"
        half = mine["high"] - mine["mean"]
        axes.errorbar(mine["radius"], mine["mean"], half, color=colour, marker=marker, capsize=2.5, label=label)
    for name, colour, dash in (("probcover", VERMILLION, (0, (5, 1.5))), ("random", BLACK, (0, (1.5, 1.2)))):
        mine = fixed[fixed["strategy"] == name]
        if mine.empty:
            continue
        label = f"{name}{', purity rule' if name == 'probcover' else ''} ({len(mine)} seeds)"
        axes.axhline(mine["aulc"].mean(), color=colour, linestyle=dash, lw=1.2, label=label)
    axes.set_xlabel("delta of the balls, sigma of the kernel (distances of unit features)")
    axes.set_ylabel("AULC of test accuracy (points)")
    axes.grid(axis="y")
    axes.legend(loc="center right")
    head(figure, "CIFAR-10 features, low budget: mean over seeds with its 95 % t interval")
    save(figure, table, PAGES / "figures", "radius", ("png",))


def gains(root: Path) -> str:
    """Gain over random by data set and regime, as in UHerding's Table 1; and UHerding paired with its rivals."""
    runs = read(root / "gains")
    runs["data"] = runs["data"].str.removesuffix("_minilm")
    runs["column"] = runs["data"] + ", " + runs["budget"]
    order = [f"{data}, {regime}" for data in sorted(set(runs["data"])) for regime in REGIMES]
    order = [name for name in order if name in set(runs["column"])]
    seeds = runs.groupby("column")["seed"].nunique()
    told = "Seeds: " + "; ".join(f"{name} {seeds[name]}" for name in order) + "."
    rows = []
    for rival in ("maxherding", "margin", "badge"):
        pairs = [
            [runs[(runs["column"] == name) & (runs["strategy"] == one)] for one in ("uherding", rival)]
            for name in order
        ]
        rows.append([f"`uherding` - `{rival}`", *(gain(mine, other, "curve") for mine, other in pairs)])
    lead = markdown(["paired by seed", *order], rows)
    return "\n\n".join([against_random(runs, "curve", "column", list(order), ""), lead, told])


EXPERIMENTS: dict[str, Callable[[Path], str]] = {
    "gains": gains,
    "nearest_neighbour": nearest_neighbour,
    "imbalanced": imbalanced,
    "greedy": greedy,
    "radius": radius,
}


def main() -> None:
    """Fill the pages asked for, or all."""
    root = Path(sys.argv[1])
    for name in sys.argv[2:] or EXPERIMENTS:
        page = PAGES / f"{name}.md"
        before, rest = page.read_text().split(OPEN)
        page.write_text(f"{before}{OPEN}\n\n{EXPERIMENTS[name](root)}\n\n{CLOSE}{rest.split(CLOSE)[1]}")
        print(page)


if __name__ == "__main__":
    main()
