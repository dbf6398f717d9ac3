"""Every figure of one run, of many runs, and strategies side by side."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path

from ..errors import UserError
from ..rundir import below
from .calibration import draw_calibration
from .classes import draw_classes
from .curve import draw_curve
from .files import RunFiles
from .lines import BASELINE, Line, group
from .style import BLACK_RANK, LINES, demand_formats
from .tsne import draw_tsne

__all__ = ["draw_below", "draw_comparison", "draw_run"]


def draw_run(folder: Path, formats: Sequence[str]) -> list[Path]:
    """Draw every figure of one run into its plots/: curve, calibration, classes, tsne, tsne_classes; the paths.

    Of an unfinished run the committed cycles are drawn. A figure whose file is absent is left out; where a file is
    damaged the other figures are drawn before the UserError that names it.
    """
    demand_formats(formats)
    run = RunFiles(Path(folder))
    lines = group([run])
    out = run.inside("plots")
    _make(out)
    return _all(
        [
            partial(draw_curve, lines, {lines[0].label: 0}, run.title, out, "curve", formats),
            partial(draw_calibration, run, out, formats),
            partial(draw_classes, run, out, formats),
            partial(draw_tsne, run, out, formats),
        ]
    )


def draw_below(paths: Sequence[Path], formats: Sequence[str], metrics: Sequence[str] = ()) -> list[Path]:
    """Draw every run at or below `paths`, and comparison/ in each path that holds several; the paths of the figures.

    `metrics` are those of the comparisons, where not the usual ones.

    Runs without a committed cycle are passed over if there are others. One damaged run does not keep the rest from
    being drawn: its UserError comes last.
    """
    demand_formats(formats)
    folders = below(paths)
    ready = [folder for folder in folders if RunFiles(folder).started]
    if not ready:
        shown = ", ".join(map(str, paths))
        found = f"no run below {shown}" if not folders else f"no run below {shown} has a committed cycle"
        raise UserError(found, "alrun run ... makes one, alrun resume finishes one")
    works: list[Callable[[], list[Path]]] = [partial(draw_run, folder, formats) for folder in ready]
    for path in paths:
        inside = [folder for folder in ready if folder in below([path])]
        if len(inside) > 1:
            works.append(partial(draw_comparison, inside, path / "comparison", formats, metrics))
    return _all(works)


def draw_comparison(
    folders: Sequence[Path], out: Path, formats: Sequence[str], metrics: Sequence[str] = ()
) -> list[Path]:
    """Draw the strategies side by side, one figure for each (dataset, encoder-model, budget); the paths.

    Runs that differ only in the seed are one line with mean and 95 % band. A strategy keeps its colour from figure to
    figure. Runs without a committed cycle are left out.
    """
    demand_formats(formats)
    runs = [run for run in map(RunFiles, map(Path, folders)) if run.started]
    if not runs:
        raise UserError("no run with a committed cycle to compare", "alrun ls shows the runs below outputs")
    settings: dict[tuple[str, ...], list[RunFiles]] = {}
    for run in runs:
        settings.setdefault(run.setting, []).append(run)
    grouped = {setting: group(settings[setting]) for setting in sorted(settings)}
    parts = zip(grouped.items(), _ranks(list(grouped.values())), _file_names(list(grouped)), strict=True)
    _make(out)
    written: list[Path] = []
    for (setting, lines), ranks, name in parts:
        written += draw_curve(lines, ranks, " · ".join(setting), out, name, formats, metrics)
    return written


def _all(works: Sequence[Callable[[], list[Path]]]) -> list[Path]:
    """Do all of them, then raise the first UserError if there was one."""
    written: list[Path] = []
    damage: list[UserError] = []
    for work in works:
        try:
            written += work()
        except UserError as error:
            damage.append(error)
    if damage:
        raise damage[0]
    return written


def _ranks(figures: Sequence[Sequence[Line]]) -> list[dict[str, int]]:
    """For each figure the rank of colour, marker and dash of each label.

    A strategy keeps its colour from figure to figure; lines of the same name share it and differ in marker and dash.
    """
    names = sorted({line.strategy for lines in figures for line in lines} - {BASELINE})
    free = (rank for rank in count() if rank % len(LINES) != BLACK_RANK)
    first = {BASELINE: BLACK_RANK} | {name: next(free) for name in names}
    ranks = []
    for lines in figures:
        mine: dict[str, int] = {}
        for line in lines:
            later = (rank for rank in count(first[line.strategy], len(LINES)))
            taken = {*mine.values(), *(rank for name, rank in first.items() if name != line.strategy)}
            mine[line.label] = next(rank for rank in later if rank not in taken)
        ranks.append(mine)
    return ranks


def _file_names(settings: Sequence[tuple[str, ...]]) -> list[str]:
    """A file name for each setting, no two alike."""
    names: list[str] = []
    for setting in settings:
        name = "_".join(re.sub(r"[^\w.+-]", "-", part) for part in setting).lstrip(".-")
        names.append(name if name not in names else f"{name}-{len(names)}")
    return [f"comparison_{name}" for name in names]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror or error}", "choose another folder") from error
