"""Everything that can be said of many runs, as tables; and the sentences that have to go with them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import stats
from ..collect import Collection, LeftOut, collect, costs, curves, demand_baseline, higher_is_better, metric_key
from ..errors import UserError
from .reference import thresholds

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    metric: str
    baseline: str
    band: str  # t or bootstrap
    test: str  # t or wilcoxon
    reach: float  # per cent of what all labels give
    full: float | None  # what all labels give, where no run says it
    counts: str  # label counts of the penalty matrix: doubling or all
    any_version: bool


@dataclass(frozen=True)
class Comparison:
    """The tables. `ranks` and `penalty` are None where there is nothing to rank."""

    options: Options
    key: str
    higher: bool
    collection: Collection
    curves: pd.DataFrame
    bands: pd.DataFrame
    aulc: pd.DataFrame
    final: pd.DataFrame
    differences: pd.DataFrame
    gains: pd.DataFrame
    reach: pd.DataFrame
    costs: pd.DataFrame
    ranks: stats.Ranks | None
    penalty: stats.Penalty | None
    diagnostic: set[str]
    references: dict[str, str]  # setting -> what its threshold is a share of
    notes: list[str]
    left_out: list[LeftOut]

    @property
    def settings(self) -> list[str]:
        """The settings that have a curve, sorted."""
        return sorted(set(self.curves["setting"]))

    def strategies(self, setting: str) -> list[str]:
        """The strategies of a setting, best AULC first."""
        mine = self.aulc[self.aulc["setting"] == setting]
        return list(mine.sort_values("mean", ascending=not self.higher, kind="stable")["strategy"])


def compare(paths: Sequence[Path], options: Options) -> Comparison:
    """Read the finished runs at or below `paths` and compute every table."""
    _demand(options)
    collection = collect(paths, any_version=options.any_version)
    if not collection.entries:
        reasons = [f"{out.folder}: {out.reason}" for out in collection.left_out[:2]]
        shown = ", ".join(map(str, paths))
        raise UserError(f"no finished run below {shown}", *(reasons or ["alrun run ... makes one"]))
    demand_baseline(collection, options.baseline)
    key = metric_key(collection, options.metric)
    higher = higher_is_better(key)
    table, missing, late = curves(collection, key)
    interval: dict[str, Any] = {"kind": options.band, "level": LEVEL, "resamples": RESAMPLES}
    known: Callable[[Any], Any] = partial(_seeded, interval)
    scores = stats.aulc(table)
    diagnostic = {entry.strategy for entry in collection.entries if entry.diagnostic}
    pairs = _differences(scores, diagnostic, higher, options, known(1))
    fair = table[~table["strategy"].isin(diagnostic)]
    block, said = stats.complete(fair)
    ranks, penalty, ranked = _over_settings(block, said, higher, options)
    aims, references, why = thresholds(collection, fair, key, options)
    notes = [
        *collection.notes, *late, *_baseline_notes(scores, options.baseline), *pairs.missing,
        *_power(pairs.table, scores, options), *stats.repetitions(table), *ranked, *why,
        *_independence(collection, ranks, block),
    ]  # fmt: skip
    return Comparison(
        options=options, key=key, higher=higher, collection=collection, curves=table,
        bands=stats.bands(table, **known(2)), aulc=stats.summarise(scores, **known(3)),
        final=stats.summarise(stats.final(table), **known(4)), differences=pairs.table,
        gains=stats.gains(_with_regimes(fair, collection), options.baseline, higher=higher, **known(5)),
        reach=stats.labels_to_reach(table, aims, options.baseline, higher=higher), costs=stats.costs(costs(collection)),
        ranks=ranks, penalty=penalty, diagnostic=diagnostic, references=references,
        notes=list(dict.fromkeys(notes)), left_out=[*collection.left_out, *missing],
    )  # fmt: skip


def _seeded(interval: dict[str, Any], purpose: int) -> dict[str, Any]:
    """Options of an interval, with a generator of its own: one table does not move another's resamples."""
    return interval | {"rng": np.random.default_rng([0, purpose])}


def _differences(
    scores: pd.DataFrame, diagnostic: set[str], higher: bool, options: Options, interval: dict[str, Any]
) -> stats.Paired:
    """Each strategy against the baseline. A diagnostic cannot be chosen: its p is outside of the correction."""
    outside = scores["strategy"].isin(diagnostic - {options.baseline})
    fair, beside = (
        stats.paired(part, options.baseline, higher=higher, test=options.test, **interval)
        for part in (scores[~outside], scores[outside | (scores["strategy"] == options.baseline)])
    )
    found = [table for table in (fair.table, beside.table.assign(p_holm=np.nan)) if not table.empty]
    table = pd.concat(found, ignore_index=True) if found else fair.table
    return stats.Paired(table, list(dict.fromkeys([*fair.missing, *beside.missing])))


def _demand(options: Options) -> None:
    for name, value, known in (
        ("band", options.band, stats.KINDS),
        ("test", options.test, stats.TESTS),
        ("counts", options.counts, stats.COUNTS),
    ):
        if value not in known:
            raise UserError(f"--{name} {value} is not known", f"choose from {', '.join(known)}")
    if not 0 < options.reach <= 100:
        raise UserError(f"--reach {options.reach:g} is no per cent of anything", "0 < reach <= 100: --reach 95")
    if options.full is not None and not 0 < options.full <= 1:
        raise UserError(f"--full {options.full:g} is no share", "what all labels give, 0 < full <= 1: --full 0.93")


def _over_settings(
    block: pd.DataFrame, said: list[str], higher: bool, options: Options
) -> tuple[stats.Ranks | None, stats.Penalty | None, list[str]]:
    """Ranks (of two or more settings) and the penalty matrix (of two or more strategies)."""
    if block["strategy"].nunique() < 2:
        return None, None, [*said, "fewer than two strategies share a setting: no ranks, no penalty matrix"]
    matrix = stats.penalty_matrix(block, higher=higher, counts=options.counts, level=LEVEL)
    penalty = matrix if matrix.settings else None
    if penalty is None:
        said = [*said, "no setting has two seeds and a purchase: nothing to test, no penalty matrix"]
    if block["setting"].nunique() < 2:
        return None, penalty, [*said, "one setting: no ranks over settings, no critical-difference diagram"]
    ranks = stats.average_ranks(stats.aulc(block), higher=higher, level=LEVEL)
    return ranks, penalty, [*said, *ranks.said]


def _baseline_notes(scores: pd.DataFrame, baseline: str) -> list[str]:
    known = list(scores["strategy"].unique())
    if baseline in known:
        return []
    return [f"no finished run of the baseline {baseline}: no differences. --baseline takes one of {', '.join(known)}"]


def _power(differences: pd.DataFrame, scores: pd.DataFrame, options: Options) -> list[str]:
    """What the number of seeds cannot show; one sentence for each case."""
    notes = []
    comparisons = differences["p_holm"].notna().groupby(differences["setting"]).sum()
    cases = {(int(n), int(comparisons[s])) for s, n in zip(differences["setting"], differences["pairs"], strict=True)}
    for pairs, number in sorted(cases):
        if text := stats.warning(pairs, number, options.test, LEVEL):
            notes.append(text)
    fewest = int(scores.groupby(["setting", "strategy"])["seed"].size().min())
    if options.band == "bootstrap" and fewest < stats.FEW:
        notes.append(f"bootstrap of {fewest} seeds: its 95 % intervals are too narrow (5 seeds: they hold 83 of 100)")
    return notes


def _independence(collection: Collection, ranks: stats.Ranks | None, block: pd.DataFrame) -> list[str]:
    """Friedman and Wilcoxon count settings as independent; two budgets or models of one data set are not."""
    inside = set(block["setting"]) if ranks else set()
    ranked = {entry.setting: entry.data.split(" · ")[0] for entry in collection.entries if entry.setting in inside}
    data = len(set(ranked.values()))
    if data == len(ranked):
        return []
    return [
        f"the {len(ranked)} ranked settings are of {data} data set{'s' * (data > 1)}: they are not independent, "
        "and the p of ranks is too small; name folders of one budget and model"
    ]


def _with_regimes(table: pd.DataFrame, collection: Collection) -> pd.DataFrame:
    """The table of curves with columns data and regime; a data set that has a regime twice goes by its settings."""
    known = {entry.setting: entry for entry in collection.entries}
    budget = {setting: str(entry.files.config["budget"]["name"]) for setting, entry in known.items()}
    classes = {setting: len(entry.files.facts.get("classes") or ()) for setting, entry in known.items()}
    regimes = [
        stats.regime(budget[setting], labels, classes[setting])
        for setting, labels in zip(table["setting"], table["labels"], strict=True)
    ]
    placed = table.assign(data=table["setting"].map({s: e.data for s, e in known.items()}), regime=regimes)
    counted = placed[placed["labels"] > 0].groupby(["data", "regime"])["setting"].nunique()
    twice = {data for (data, _), settings in counted.items() if settings > 1}
    return placed.assign(data=placed["data"].where(~placed["data"].isin(twice), placed["setting"]))
