"""What was found, in words: each strategy against the baseline, over the same seeds, with its uncertainty."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..collect import Collection, curves, higher_is_better, metric_key
from ..errors import UserError
from ..stats import aulc, paired, repetitions, summarise, warning
from .curves import LEVEL, MEANINGS
from .markup import Html, join, signed, table, tag

OPEN = 3  # settings shown unfolded
NAMED = 8  # strategies named in one sentence
EXACT: dict[str, Any] = {"kind": "t", "level": LEVEL, "resamples": 0}


def statement(collection: Collection, baseline: str, metric: str) -> tuple[Html, dict[str, list[str]]]:
    """The section of the page; and for each setting the strategies from best to worst, diagnostics left out."""
    if not collection.entries:
        return tag("p", "No finished run was found: see Runs.", class_="note"), {}
    key = metric_key(collection, metric)
    try:
        drawn, absent, gaps = curves(collection, key)
    except UserError as error:
        return tag("p", "; ".join([error.message, *error.hints]), class_="note"), {}
    scores, higher = aulc(drawn), higher_is_better(key)
    rng = np.random.default_rng(0)  # t intervals draw nothing
    diagnostic = {(entry.setting, entry.strategy) for entry in collection.entries if entry.diagnostic}
    fair = scores[[pair not in diagnostic for pair in zip(scores["setting"], scores["strategy"], strict=True)]]
    tested = paired(fair, baseline, higher=higher, test="t", rng=rng, **EXACT)
    means = summarise(scores, rng=rng, **EXACT)
    parts, best = [], {}
    for setting in collection.settings:
        mine = means[means["setting"] == setting].sort_values("mean", ascending=not higher, kind="stable")
        against = tested.table[tested.table["setting"] == setting].sort_values("difference", ascending=not higher)
        best[setting] = [name for name in mine["strategy"] if (setting, name) not in diagnostic]
        inside = [*_sentences(against, baseline, key, higher), _table(mine, against, diagnostic, baseline, setting)]
        parts.append(_fold(setting, inside, len(collection.settings)))
    notes = [*repetitions(drawn), *tested.missing, *gaps, *(f"{out.folder}: {out.reason}" for out in absent)]
    shown = [tag("p", note, class_="note") for note in notes[:20]]
    if len(notes) > 20:
        shown.append(tag("p", f"and {len(notes) - 20} more of this kind", class_="caption"))
    return join([_method(key, baseline, higher), *parts, *shown]), best


def _method(key: str, baseline: str, higher: bool) -> Html:
    meaning = MEANINGS.get(key, key).partition(" (")[0]
    return tag(
        "p",
        f"Compared is the area under the learning curve (AULC) of {meaning} over labels, divided by the width so that "
        f"it reads like the metric; {'higher' if higher else 'lower'} is better. Differences to {baseline} are taken "
        "seed by seed (same split, same initial weights), with 95 % t intervals; p-values are of paired t tests, "
        "corrected for the number of strategies of a setting (Holm).",
        class_="caption",
    )


def _fold(setting: str, inside: Sequence[Html], settings: int) -> Html:
    if settings <= OPEN:
        return join([tag("h3", setting), *inside])
    return (
        tag("details", tag("summary", tag("strong", setting)), *inside, open="open")
        if settings <= 6
        else tag("details", tag("summary", tag("strong", setting), " ", inside[0] if inside else ""), *inside[1:])
    )


def _sentences(against: pd.DataFrame, baseline: str, key: str, higher: bool) -> list[Html]:
    if against.empty:
        return [tag("p", f"No strategy can be paired with {baseline} here: means only.")]
    known = against[against["p_holm"].notna()]
    gain = known["difference"] * (1 if higher else -1)
    shown = known["p_holm"] < 1 - LEVEL
    ways = [
        (f"Better than {baseline}", known[shown & (gain > 0)], "good"),
        (f"Worse than {baseline}", known[shown & (gain < 0)], "bad"),
        (f"No difference to {baseline} could be shown for", known[~shown], ""),
    ]
    said = []
    for words, part, mood in ways:
        if not part.empty:
            rows = [_one(row) for _, row in part.head(NAMED).iterrows()]
            more = f", and {len(part) - NAMED} more (table)" if len(part) > NAMED else ""
            said.append(tag("li", tag("strong", words, class_=mood), ": ", join(rows, "; "), more, "."))
    pairs = int(against["pairs"].min())
    caution = warning(pairs, len(against), "t", LEVEL)
    notes = [tag("p", caution[0].upper() + caution[1:] + ".", class_="note")] if caution else []
    return [tag("ul", *said, class_="verdict"), *notes]


def _one(row: pd.Series) -> Html:
    interval = f"[{signed(row['low'])},\N{NO-BREAK SPACE}{signed(row['high'])}]"
    wins = f"{row['wins']:.0f} of {row['pairs']:.0f} seeds"
    p = "p < 0.001" if row["p_holm"] < 0.001 else f"p = {row['p_holm']:.2g}"
    p = p.replace(" ", "\N{NO-BREAK SPACE}")
    return join([tag("b", row["strategy"]), f" {signed(row['difference'])} {interval}, ahead in {wins}, {p}"])


def _table(
    means: pd.DataFrame, against: pd.DataFrame, diagnostic: set[tuple[str, str]], baseline: str, setting: str
) -> Html:
    rows = []
    pairs = against.set_index("strategy")
    for _, row in means.iterrows():
        name = row["strategy"]
        shown = join([name, " (diagnostic: not ranked)"]) if (setting, name) in diagnostic else name
        known = pairs.loc[name] if name in pairs.index else None
        cells: list[object] = [None] * 4
        if known is not None:
            bounds = f"[{signed(known['low'])},\N{NO-BREAK SPACE}{signed(known['high'])}]"
            counts = f"{known['wins']:.0f} / {known['ties']:.0f} / {known['losses']:.0f}"
            cells = [signed(known["difference"]), bounds, float(known["p_holm"]), counts]
        elif name == baseline:
            cells[0] = tag("i", "baseline")
        rows.append([shown, int(row["seeds"]), float(row["mean"]), float(row["sd"]), *cells])
    heads = ["strategy", "seeds", "AULC", "SD", f"to {baseline}", "95 % interval", "p (Holm)", "win / tie / loss"]
    return table(heads, rows)
