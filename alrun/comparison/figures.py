"""Which figures a comparison has."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..plots.compare import colours, draw_bands, draw_gains, draw_penalty
from ..plots.ranks import draw_ranks
from .cells import p_is, points, unit
from .compute import Comparison


def draw(found: Comparison, out: Path, formats: Sequence[str]) -> list[Path]:
    """Curves of each setting, gains, penalties, ranks: in every format, each with a CSV of its numbers; the paths."""
    options = found.options
    ranks = colours([str(name) for name in found.aulc["strategy"].unique()], options.baseline)
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for setting, name in zip(found.settings, file_names(found.settings), strict=True):
        bands = found.bands[found.bands["setting"] == setting]
        given = {
            (entry.files.facts.get("labels") or {}).get("target")
            for entry in found.collection.entries
            if entry.setting == setting
        }
        target = given.pop() if len(given) == 1 else None
        written += draw_bands(
            bands, ranks, found.key, found.higher, setting, options.band, target, folder, name, formats
        )  # fmt: skip
    if not found.gains.empty:
        tell = partial(points, key=found.key)
        label = f"{options.metric} better than {options.baseline} by {unit(found.key)}"
        written += draw_gains(found.gains, tell, options.baseline, label, folder, formats)
    if found.penalty is not None:
        counts = "label counts after 1, 2, 4, 8, ... purchases" if options.counts == "doubling" else "all label counts"
        note = f"paired t over seeds at 5 %, {counts}"
        written += draw_penalty(found.penalty.matrix, found.penalty.settings, note, folder, formats)
    if found.ranks is not None:
        tested = f"Friedman {p_is(found.ranks.friedman)}; " if np.isfinite(found.ranks.friedman) else ""
        title = f"{options.metric} AULC over {found.ranks.settings} settings"
        note = f"{tested}a bar joins strategies that Wilcoxon-Holm does not tell apart at 5 %"
        written += draw_ranks(found.ranks.table, found.ranks.cliques, title, note, folder, formats)
    return written


def file_names(settings: Sequence[str]) -> list[str]:
    """A file name for each setting, no two alike."""
    names: list[str] = []
    for setting in settings:
        name = "curves_" + re.sub(r"[^\w.+=-]+", "_", setting)[:120].strip("_")
        names.append(name if name not in names else f"{name}-{len(names)}")
    return names
