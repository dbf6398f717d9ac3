"""CPU seconds and memory of every method against the size of the pool: docs/figures/scaling.png and scaling.csv.

    python scripts/scaling_figure.py                      # N = 1,000 to 100,000, one thread: takes an hour or two
    python scripts/scaling_figure.py --methods badge coreset --sizes 1000 3000 --out /tmp
    python scripts/scaling_figure.py --redraw             # from scaling.csv

Input and measurement are those of benchmarks/selection.py: synthetic, 100 labelled items, a batch of 100, 10 classes,
128 dimensions, each case a process of its own, with `--limit` seconds for the whole process (start, input and up to
three repeats included). A method that exceeds it is not asked for a larger N, and the legend says so. A refitted model
costs nothing there, and the first use of scikit-learn counts as memory of the method that needs it. Left out are names
for other methods' options (less_alignment, random_then_entropy) and what costs as its stage does (tcm, switch).
"""

import argparse
import csv
import json
import os
import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from benchmarks.selection import LIMIT_S, case, machine  # noqa: E402

FAMILIES = {
    "uncertainty": ("random", "entropy", "margin", "least_confidence", "dropquery"),
    "gradients": ("badge", "less", "less_matching_pursuit", "arena", "alfamix"),
    "coverage": ("coreset", "maxherding", "kmedoids", "probcover", "uherding"),
    "clusters and others": (
        "typiclust",
        "activeft",
        "weighted_kmeans",
        "weighted_kmeans_herding",
        "alfamix_herding",
        "badge_herding",
        "select_al",
    ),
}
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC3311", "#7B4FA3", "#56B4E9", "#555555")
MARKERS = "osD^vPX"
COLUMNS = ("method", "n", "threads", "cpu_s", "wall_s", "peak_mb", "limit_s")  # measured: empty where over the limit
PANELS = (("cpu_s", "CPU seconds of one batch", 1e-4), ("peak_mb", "MB added at the peak", 0.1))


def measure(methods: list[str], sizes: list[int], threads: int, limit: float, path: Path) -> None:
    """Write the table, a row as soon as it is known; under a comment that says where."""
    with path.open("w", newline="") as file:
        where = {name: value for name, value in machine().items() if name != "platform"}
        file.write(f"# {json.dumps(where)}\n")
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for method in methods:
            for n in sorted(sizes):
                began = time.perf_counter()
                found = case(["alone", method, str(n), "synthetic"], threads, limit)
                if found is None and time.perf_counter() - began < limit:
                    raise SystemExit(f"{method} failed at N = {n}: see above")
                figures = (
                    {} if found is None else {name: f"{found[name]:.6g}" for name in ("cpu_s", "wall_s", "peak_mb")}
                )
                table.writerow({"method": method, "n": n, "threads": threads, "limit_s": limit} | figures)
                file.flush()
                print(method, n, figures or f"over {limit:g} s", flush=True)
                if found is None:
                    break


def read(path: Path) -> tuple[dict, list[dict[str, str]]]:
    """The machine, and the rows."""
    with path.open(newline="") as file:
        where = json.loads(file.readline().removeprefix("#"))
        return where, list(csv.DictReader(file))


def lines(axis: Axes, methods: tuple[str, ...], rows: list[dict[str, str]], column: str, floor: float) -> None:
    """A line a method; the legend says where the limit cut it off."""
    for method, colour, marker in zip(methods, COLOURS, MARKERS, strict=False):
        mine = [row for row in rows if row["method"] == method]
        known = [(int(row["n"]), max(float(row[column]), floor)) for row in mine if row[column]]
        over = [f" (over {float(row['limit_s']):g} s at {int(row['n']):,})" for row in mine if not row[column]]
        if mine:
            label = method + "".join(over)
            axis.plot(*zip(*known, strict=True) if known else ([], []), color=colour, marker=marker, ms=4, label=label)


def draw(path: Path, out: Path) -> None:
    """One column a family; seconds above memory."""
    where, rows = read(path)
    if not any(row["cpu_s"] for row in rows):
        raise SystemExit(f"{path} has no measurement: every case was over its limit")
    sizes = sorted({int(row["n"]) for row in rows})
    shown = {row["method"] for row in rows}
    families = {family: names for family, names in FAMILIES.items() if shown & set(names)}
    figure = Figure(figsize=(3.4 * len(families) + 0.6, 8), layout="constrained")
    axes = figure.subplots(len(PANELS), len(families), squeeze=False, sharex=True, sharey="row")
    for row, (column, title, floor) in enumerate(PANELS):
        for axis, (family, names) in zip(axes[row], families.items(), strict=True):
            lines(axis, names, rows, column, floor)
            axis.set(xscale="log", yscale="log", xticks=sizes, xticklabels=[f"{n / 1000:g}k" for n in sizes])
            axis.minorticks_off()
            axis.grid(color="#e6e6e6")
            axis.set_axisbelow(True)
            if row == 0:
                axis.set_title(family, fontsize=10)
            else:
                axis.set_xlabel("N unlabelled items")
                axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8, frameon=False)
        axes[row, 0].set_ylabel(title)
    for axis in axes[0]:  # what growing with N, and with its square, looks like
        low, high = axis.get_ylim()
        for power, text in ((1, "N"), (2, "N²")):
            slope = [2 * low * (n / sizes[0]) ** power for n in sizes]
            axis.plot(sizes, slope, color="#999999", lw=0.8, ls=":", zorder=0)
            at = max(i for i, value in enumerate(slope) if value <= high)
            axis.annotate(text, (sizes[at], slope[at]), color="#777777", fontsize=8, ha="right", va="bottom")
        axis.set_ylim(low, high)
    threads = rows[0]["threads"]
    figure.suptitle(f"A batch of 100: {threads} thread(s), {where['cpu']}, torch {where['torch']}", fontsize=10)
    figure.savefig(out, dpi=110, metadata={"Software": None})


def main() -> None:
    """Measure, unless asked to redraw, and draw."""
    known = [name for names in FAMILIES.values() for name in names]
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--methods", nargs="+", default=known, choices=known, metavar="NAME")
    ask.add_argument("--sizes", nargs="+", type=int, default=[1_000, 3_000, 10_000, 30_000, 100_000])
    ask.add_argument("--threads", type=int, default=1)
    ask.add_argument("--limit", type=float, default=LIMIT_S, help=f"seconds a case may take ({LIMIT_S})")
    ask.add_argument("--out", type=Path, default=ROOT / "docs/figures")
    ask.add_argument("--redraw", action="store_true")
    args = ask.parse_args()
    table, picture = args.out.resolve() / "scaling.csv", args.out.resolve() / "scaling.png"
    if not args.redraw:
        table.parent.mkdir(parents=True, exist_ok=True)
        os.chdir(ROOT)  # where `python -m benchmarks.selection` is found
        measure(args.methods, args.sizes, args.threads, args.limit, table)
    draw(table, picture)
    print(picture)


if __name__ == "__main__":
    main()
