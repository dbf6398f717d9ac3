"""What would all labels give? The value that `labels to reach x %` is a share of."""

from typing import TYPE_CHECKING

import pandas as pd

from ..collect import Collection, Entry
from ..errors import UserError

if TYPE_CHECKING:
    from .compute import Options

SHARES = ("accuracy", "balanced_accuracy", "macro_f1", "qwk", "spearman")  # 0 is useless, more is better


def thresholds(
    collection: Collection, curves: pd.DataFrame, key: str, options: "Options"
) -> tuple[dict[str, float], dict[str, str], list[str]]:
    """For each setting the value to reach, what it is a share of in words, and notes.

    A run that bought its whole pool says what all labels give, for every budget on the same data, encoder and model.
    Without one, `--full` does; without that, the best final mean of a strategy stands in, and the words say so.
    """
    name = key.rpartition("/")[2]
    if name not in SHARES:
        return {}, {}, [f"{options.reach:g} % of {name} means nothing: labels to reach it are for {', '.join(SHARES)}"]
    data = {entry.setting: entry.data for entry in collection.entries}
    if options.full is not None and len(set(data.values())) > 1:
        raise UserError(
            f"--full {options.full:g} is one value for {len(set(data.values()))} data sets", "compare one of them"
        )
    last = curves.loc[curves.groupby(["setting", "strategy", "seed"])["cycle"].idxmax()]
    whole = {entry.setting for entry in _one_each(collection) if _bought_everything(entry)}
    aims, words = {}, {}
    for setting in sorted(set(curves["setting"])):
        related = last[last["setting"].map(data) == data[setting]]
        full = related[related["setting"].isin(whole)]
        if options.full is not None:
            value, said = options.full, "what --full says"
        elif len(full):
            value, said = float(full["value"].mean()), f"runs on all {int(full['labels'].max()):,} labels"
        else:
            means = related.groupby(["setting", "strategy"])["value"].mean()
            (_, best), value = means.idxmax(), float(means.max())
            said = f"the best final mean, {best}'s: no run bought its whole pool"
        aims[setting] = value * options.reach / 100
        words[setting] = f"{options.reach:g} % of {value:.3f} ({said})"
    return aims, words, []


def _one_each(collection: Collection) -> list[Entry]:
    return list({entry.setting: entry for entry in collection.entries}.values())


def _bought_everything(entry: Entry) -> bool:
    try:
        pool = len(entry.files.arrays("items.npz", "pool")["pool"])
    except UserError:
        return False
    return int(entry.files.rows[-1]["n_labelled"]) >= pool > 0
