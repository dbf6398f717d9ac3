"""`alrun export`: what is asked for, of every run below some folders."""

from collections.abc import Sequence
from pathlib import Path

from ..collect import candidates
from ..collect.entries import DAMAGE, LeftOut
from ..errors import RunFailed, UserError
from ..plots.files import RunFiles
from .items import write_selected
from .tables import FORMATS, long_table, write_table
from .trackers import TRACKERS, demand_tracker, title


def export(paths: Sequence[Path], kind: str, out: Path, *, selected: bool) -> tuple[list[Path], list[LeftOut]]:
    """Write into `out`; what was written, and the folders that could not be used."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file", "name a folder: --to exports")
    if selected:
        return _each(paths, lambda files: write_selected(files.folder, out / title(files)))
    if kind in FORMATS:
        table, left_out = long_table(paths)
        out.mkdir(parents=True, exist_ok=True)
        return [write_table(table, out / f"runs.{kind}")], left_out
    if kind not in TRACKERS:
        raise UserError(f"no export format {kind!r}", f"one of {', '.join([*FORMATS, *TRACKERS])}")
    demand_tracker(kind)
    written, left_out = _each(paths, lambda files: [TRACKERS[kind](files, out / kind)])
    return list(dict.fromkeys(written)), left_out


def _each(paths, write) -> tuple[list[Path], list[LeftOut]]:
    """`write` each run; what was written, and what could not be."""
    written: list[Path] = []
    folders, left_out = candidates(paths)
    for folder in folders:
        try:
            written += write(RunFiles(folder))
        except (*DAMAGE, RunFailed) as error:
            said = error.message if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            left_out.append(LeftOut(folder, said))
    if not written:
        reason = f"{left_out[0].folder}: {left_out[0].reason}" if left_out else "there is no run"
        raise UserError(f"nothing to export below {', '.join(map(str, paths))}", reason)
    return written, left_out
