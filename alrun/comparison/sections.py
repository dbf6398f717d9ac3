"""The tables as people read them: rows of text under a title, for every format alike."""

from dataclasses import dataclass

import numpy as np

from ..stats import REGIMES
from .cells import Cell, cells, mean_half, number, p_is, p_text, points, signed, unit
from .compute import Comparison

POINTS = 6  # label counts shown of a curve
DAGGER = "†"


@dataclass(frozen=True)
class Section:
    """One table; the first column is text, the others are numbers."""

    title: str
    note: str
    header: list[str]
    rows: list[list[Cell]]


def sections(found: Comparison) -> list[Section]:
    """Every table: three for each setting, then those over settings."""
    each = [make(found, setting) for setting in found.settings for make in (_aulc, _curve, _labels)]
    return [*each, *[section for make in (_gains, _ranks, _penalty) if (section := make(found)) is not None]]


def name(found: Comparison, strategy: str) -> str:
    """A strategy's label; a dagger for a diagnostic."""
    return f"{strategy} {DAGGER}" if strategy in found.diagnostic else strategy


def _aulc(found: Comparison, setting: str) -> Section:
    """AULC and final value, and the paired difference to the baseline."""
    base, metric = found.options.baseline, found.options.metric
    aulc, final, differences = (
        table[table["setting"] == setting].set_index("strategy")
        for table in (found.aulc, found.final, found.differences)
    )
    rows = []
    for strategy in found.strategies(setting):
        mine = [str(aulc["seeds"][strategy]), number(aulc["mean"][strategy]), number(aulc["sd"][strategy])]
        mine.append(number(final["mean"][strategy]))
        against = ["", "", "", "", ""]
        if strategy in differences.index:
            row = differences.loc[strategy]
            between = f"{signed(row['low'])} to {signed(row['high'])}" if np.isfinite(row["low"]) else "–"
            counts = "/".join(str(row[count]) for count in ("wins", "ties", "losses"))
            against = [signed(row["difference"]), between, p_text(row["p"]), p_text(row["p_holm"]), counts]
        rows.append(cells([name(found, strategy), *mine, *against]))
    kind = "t interval" if found.options.band == "t" else "bootstrap interval"
    how = f"paired {found.options.test} test"
    family = "the table" if found.diagnostic.isdisjoint(aulc.index) else f"the table without {DAGGER}"
    direction = "" if found.higher else "; lower is better"
    note = (
        f"AULC: mean {metric} over the curve{direction} · difference of AULC to {base} in the same seeds, its 95 % "
        f"{kind}, p of a {how}, also Holm-corrected over {family} · wins/ties/losses by seed"
    )
    header = ["strategy", "seeds", "AULC", "SD", "final", f"vs {base}", "95 %", "p", "p Holm", "w/t/l"]
    return Section(f"{setting} · {metric}", note, header, rows)


def _curve(found: Comparison, setting: str) -> Section:
    """Means at a few label counts with the half width of their intervals."""
    bands = found.bands[found.bands["setting"] == setting]
    counts = sorted({int(labels) for labels in bands["labels"]})
    if len(counts) > POINTS:
        counts = [counts[round(k * (len(counts) - 1) / (POINTS - 1))] for k in range(POINTS)]
    rows = []
    for strategy in found.strategies(setting):
        mine = bands[bands["strategy"] == strategy].set_index("labels")
        shown = [mean_half(mine.loc[count]) if count in mine.index else "–" for count in counts]
        rows.append(cells([name(found, strategy), *shown]))
    note = f"mean {found.options.metric} over seeds at so many labels ± half of its 95 % {found.options.band} interval"
    return Section(f"{setting} · by labels", note, ["strategy", *(f"{count:,}" for count in counts)], rows)


def _labels(found: Comparison, setting: str) -> Section:
    """Labels to reach the threshold, and what a label costs in time."""
    reach = found.reach[found.reach["setting"] == setting].set_index("strategy")
    costs = found.costs[found.costs["setting"] == setting].set_index("strategy")
    rows = []
    for strategy in found.strategies(setting):
        mine = ["–", "–", "–"]
        if strategy in reach.index:
            row = reach.loc[strategy]
            labels = f"{row['labels']:,.0f}" if np.isfinite(row["labels"]) else "never"
            saved = f"{round(100 * row['saved']) + 0:+d} %" if np.isfinite(row["saved"]) else "–"
            mine = [labels, f"{row['reached']}/{row['seeds']}", saved]
        spent = ["–"] * 4
        if strategy in costs.index and np.isfinite(costs["total_ms"][strategy]):
            row = costs.loc[strategy]
            spent = [f"{row['select_ms']:,.1f}", f"{row['total_ms']:,.1f}", f"{100 * row['share']:.0f} %"]
            spent.append(f"{row['peak_mb']:,.0f}")
        rows.append(cells([name(found, strategy), *mine, *spent]))
    aim = found.references.get(setting)
    note = (
        f"labels: median over seeds until {aim} is reached · saved: against {found.options.baseline} · " if aim else ""
    )
    header = ["strategy", "labels", "seeds", "saved", "select ms/label", "total ms/label", "selecting", "peak MB"]
    return Section(f"{setting} · labels and cost", f"{note}time per label bought", header, rows)


def _gains(found: Comparison) -> Section | None:
    """Gain over the baseline per regime: data sets x low, mid, high; the best three of each column marked."""
    table = found.gains
    if table.empty:
        return None
    order = [*REGIMES, *sorted(set(table["regime"]) - set(REGIMES))]
    columns = sorted(
        {(data, regime) for data, regime in zip(table["data"], table["regime"], strict=True)},
        key=lambda key: (key[0], order.index(key[1])),
    )
    mean = table.groupby("strategy")["gain"].mean().sort_values(ascending=False, kind="stable")
    known = table.set_index(["strategy", "data", "regime"])
    rows = []
    for strategy in mean.index:
        row = [Cell(name(found, str(strategy)))]
        for key in columns:
            if (strategy, *key) in known.index:
                cell = known.loc[(strategy, *key)]
                row.append(Cell(points(cell["gain"], found.key), int(cell["place"])))
            else:
                row.append(Cell("–"))
        rows.append(row)
    note = (
        f"{found.options.metric} better than {found.options.baseline} by so many {unit(found.key)}, mean over label "
        "counts and seeds; ¹ ² ³ best three of a column; regimes by budget name, else up to 10 and 100 labels per class"
    )
    header = ["strategy", *("\n".join([*data.split(" · "), regime]) for data, regime in columns)]
    return Section(f"gain over {found.options.baseline} by regime", note, header, rows)


def _ranks(found: Comparison) -> Section | None:
    """Average ranks and cliques."""
    ranks = found.ranks
    if ranks is None:
        return None
    letters = {id(clique): chr(97 + k % 26) for k, clique in enumerate(ranks.cliques)}
    rows = []
    for strategy, rank in zip(ranks.table["strategy"], ranks.table["rank"], strict=True):
        mine = "".join(letters[id(clique)] for clique in ranks.cliques if strategy in clique)
        rows.append(cells([strategy, f"{rank:.2f}", mine]))
    tested = f"Friedman {p_is(ranks.friedman)} · " if np.isfinite(ranks.friedman) else ""
    note = f"{tested}strategies that share a letter are not told apart at 5 % (Wilcoxon signed-rank, Holm)"
    return Section(f"average rank of AULC over {ranks.settings} settings", note, ["strategy", "rank", "alike"], rows)


def _penalty(found: Comparison) -> Section | None:
    """Row and column means of the penalty matrix."""
    if found.penalty is None:
        return None
    matrix, mean, settings = found.penalty
    wins = matrix.sum(axis=1) / max(1, len(matrix) - 1)
    order = mean.sort_values(kind="stable").index
    rows = [cells([str(strategy), f"{mean[strategy]:.2f}", f"{wins[strategy]:.2f}"]) for strategy in order]
    counts = "after 1, 2, 4, 8, ... purchases" if found.options.counts == "doubling" else "after every purchase"
    note = (
        f"how often another strategy beats it (lower is better), and it beats another, at 5 % in a paired t test, mean "
        f"over the others; label counts {counts}; at most {settings}. The matrix is in the figure, CSV and JSON"
    )
    return Section(
        f"pairwise penalties over {settings} setting{'s' * (settings > 1)}", note, ["strategy", "beaten", "beats"], rows
    )
