"""Tables of docs/results/ from saved runs: `python scripts/results_table.py RUNS_DIR [OUT_DIR]`.

For each (dataset, encoder-model, budget) below RUNS_DIR: per strategy the area under the accuracy curve (AULC, points)
and the final accuracy, mean over seeds; the paired difference of AULC to random over the seeds that both have, with its
95 % t interval; and in how many seeds it is ahead. Strategies are sorted by AULC. One CSV and one Markdown file.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from alrun.rundir import RunDir, below
from alrun.stats.intervals import t_interval

HEADER = ("dataset", "model", "budget", "strategy", "seeds", "aulc", "final", "gain", "gain_low", "gain_high", "ahead")


def read(root: Path) -> dict[tuple[str, str, str], dict[str, dict[int, tuple[float, float]]]]:
    """(dataset, encoder-model, budget) -> strategy -> seed -> (AULC, final accuracy) in points."""
    found: dict[tuple[str, str, str], dict[str, dict[int, tuple[float, float]]]] = {}
    for folder in below([root]):
        summary = RunDir(folder).summary()
        if summary is None:
            continue
        dataset, model, name, run = folder.parts[-4:]
        strategy, _, budget = name.rpartition("-")
        seed = int(run[1:].partition("-")[0])
        seeds = found.setdefault((dataset, model, budget), {}).setdefault(strategy, {})
        if seed in seeds:
            raise SystemExit(f"two runs of {strategy} with seed {seed} below {folder.parent}: keep one configuration")
        seeds[seed] = 100 * summary["aulc"]["accuracy"], 100 * summary["final"]["accuracy"]
    return found


def rows(
    setting: tuple[str, str, str], strategies: dict[str, dict[int, tuple[float, float]]]
) -> list[dict[str, object]]:
    """One row a strategy, best first."""
    base = strategies.get("random", {})
    table = []
    for name, seeds in strategies.items():
        aulc, final = np.array(list(seeds.values())).mean(axis=0)
        shared = sorted(set(seeds) & set(base))
        gains = np.array([seeds[seed][0] - base[seed][0] for seed in shared])
        gain, low, high = map(float, t_interval(gains, 0.95)) if len(gains) and name != "random" else (np.nan,) * 3
        ahead = f"{int((gains > 0).sum())}/{len(gains)}" if name != "random" else ""
        values = (*setting, name, len(seeds), aulc, final, gain, low, high, ahead)
        table.append(dict(zip(HEADER, values, strict=True)))
    return sorted(table, key=lambda row: -float(str(row["aulc"])))


def shown(value: object, signed: bool = False) -> str:
    """A figure with one decimal, or nothing."""
    if not isinstance(value, float | np.floating):
        return str(value)
    return "" if np.isnan(value) else f"{value:+.1f}" if signed else f"{value:.1f}"


def main() -> None:
    """Write tables.csv and tables.md."""
    root = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).resolve().parent.parent / "docs/results"
    out.mkdir(parents=True, exist_ok=True)
    text = ["<!-- made by scripts/results_table.py; do not edit -->", ""]
    every = []
    for setting, strategies in sorted(read(root).items()):
        table = rows(setting, strategies)
        every += table
        text += [
            f"## {' · '.join(setting)}",
            "",
            "| strategy | seeds | AULC | final | gain over random (95 %) | ahead |",
        ]
        text += ["| --- | --- | --- | --- | --- | --- |"]
        for row in table:
            ends = [shown(row[end], True) for end in ("gain_low", "gain_high")]
            span = f" ({' to '.join(ends)})" if all(ends) else ""  # one seed has no interval
            figures = f"{shown(row['aulc'])} | {shown(row['final'])} | {shown(row['gain'], True)}{span}"
            text.append(f"| `{row['strategy']}` | {row['seeds']} | {figures} | {row['ahead']} |")
        text.append("")
    (out / "tables.md").write_text("\n".join(text))
    with open(out / "tables.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, HEADER)
        writer.writeheader()
        writer.writerows({key: shown(value) for key, value in row.items()} for row in every)
    print(out / "tables.md")


if __name__ == "__main__":
    main()
