"""What does a strategy gain over random, at low, middle and high budgets? The form of UHerding's Table 1."""

import numpy as np
import pandas as pd

from .intervals import interval

LOW, MID = 10, 100  # labels per class up to which a budget is low, and middle
REGIMES = ("low", "mid", "high")
MARKED = 3
KEY = ["data", "regime"]


def regime(budget: str, labels: int, n_classes: int) -> str:
    """The regime of a label count: the budget's name if it is one, else by labels per class (10, 100)."""
    if budget in REGIMES or n_classes < 1:
        return budget
    per_class = labels / n_classes
    return "low" if per_class <= LOW else "mid" if per_class <= MID else "high"


def gains(
    points: pd.DataFrame,
    baseline: str,
    *,
    higher: bool,
    kind: str,
    level: float,
    resamples: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Mean improvement over the baseline within a regime, paired by seed and label count; positive is better.

    `points` is a table of curves with the columns data and regime. Label count 0 is left out: there no strategy has
    chosen anything. Columns: data, regime, strategy, pairs, gain, low, high, place (1 to 3, ties share; else 0).
    """
    rows = []
    for (data, name), part in points[points["labels"] > 0].groupby(KEY, sort=False):
        table = part.pivot_table(index="seed", columns=["strategy", "labels"], values="value")
        if baseline not in table:
            continue
        for strategy in [other for other in part["strategy"].unique() if other != baseline]:
            difference = (table[strategy] - table[baseline]).dropna(axis=1, how="all").dropna(axis=0)
            if difference.empty:
                continue
            each = difference.mean(axis=1).to_numpy() * (1 if higher else -1)  # (pairs,)
            mean, low, high = interval(each, kind=kind, level=level, resamples=resamples, rng=rng)
            rows.append([data, name, strategy, len(each), float(mean), float(low), float(high)])
    table = pd.DataFrame(rows, columns=[*KEY, "strategy", "pairs", "gain", "low", "high"])
    place = table.round({"gain": 12}).groupby(KEY, sort=False)["gain"].rank(method="min", ascending=False)
    return table.assign(place=place.where(place <= MARKED, 0).astype(int))
