"""Which runs can be compared as a whole: every strategy in every setting, on the same seeds."""

from typing import Any

import pandas as pd


def complete(scores: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows of `scores` (or of a table of curves) in which all strategies have all settings and the same seeds.

    Settings, strategies and seeds are chosen so that most stay: a strategy that was run in few settings leaves rather
    than takes everybody's settings away, and so with seeds. What leaves is named.
    """
    said: list[str] = []
    where = {str(name): set(mine["setting"]) for name, mine in scores.groupby("strategy", sort=False)}
    names, settings = _largest(where)
    if rare := sorted(set(where) - set(names)):
        said.append(f"not in all of these settings, so not compared over them: {', '.join(rare)}")
    if away := sorted(set(scores["setting"]) - settings):
        said.append(f"settings with too few strategies, left out: {'; '.join(away)}")
    kept = scores[scores["strategy"].isin(names) & scores["setting"].isin(settings)]
    chosen: dict[str, set[int]] = {}
    short: set[str] = set()
    for setting, part in kept.groupby("setting", sort=False):
        seeds = {name: set(mine["seed"]) for name, mine in part.groupby("strategy", sort=False)}
        here, common = _largest(seeds)
        chosen[str(setting)] = common
        short |= {str(name) for name in set(seeds) - set(here)}
        rest = set().union(*seeds.values()) - common
        if rest and len(here) == len(seeds):
            said.append(f"{setting}: seeds {', '.join(map(str, sorted(rest)))} are not in every strategy: left out")
    if short:
        said.append(f"with too few seeds in a setting, so not compared over settings: {', '.join(sorted(short))}")
    fits = [
        strategy not in short and seed in chosen[setting]
        for setting, strategy, seed in zip(kept["setting"], kept["strategy"], kept["seed"], strict=True)
    ]
    kept = kept[pd.Series(fits, index=kept.index, dtype=bool)]
    return kept.reset_index(drop=True), said


def _largest(has: dict[str, set[Any]]) -> tuple[list[str], set[Any]]:
    """Of the names that have at least so many things, those with most things in common, counted over the names."""
    best: tuple[list[str], set[Any]] = ([], set())
    for least in sorted({len(mine) for mine in has.values()}):
        names = [name for name, mine in has.items() if len(mine) >= least]
        common = set.intersection(*(has[name] for name in names))
        if len(names) * len(common) > len(best[0]) * len(best[1]):
            best = names, common
    return best
