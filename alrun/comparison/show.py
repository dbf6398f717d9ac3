"""A comparison on the screen, and in a folder."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from .. import terminal
from ..errors import UserError
from ..rundir import RunDir
from .cells import Cell
from .compute import Comparison
from .sections import sections
from .texts import FORMATS, SUPERSCRIPT, WRITERS, csv, printable, tables

STYLES = ("", "bold green", "green", "cyan")
MOST = 12  # folders named on the screen; --out and --format json name all
FILES = {"json": "compare.json", "latex": "compare.tex", "markdown": "compare.md"}


def demand_format(kind: str) -> None:
    """Raise UserError for a format that is not known."""
    if kind not in FORMATS:
        raise UserError(f"no format {kind!r}", f"one of {', '.join(FORMATS)}")


def show(found: Comparison, kind: str) -> None:
    """Print in the format asked for. What is not a table goes to stderr, except on the screen."""
    if kind == "terminal":
        for section in sections(found):
            terminal.say(f"\n{section.title}", "cyan")
            rows = [[_cell(cell) for cell in row] for row in section.rows]
            terminal.columns(section.header, rows, section.header[1:], in_full=True)
            terminal.say(" ".join(section.note.split()), "dim")
        terminal.say("")
    else:
        print(WRITERS[kind](found), end="")
    for note in found.notes:
        terminal.remark(note, aside=kind != "terminal")
    for folder, reason in found.left_out[:MOST]:
        terminal.remark(printable(f"left out: {folder}: {reason}"), aside=kind != "terminal")
    if len(found.left_out) > MOST:
        terminal.remark(f"left out: {len(found.left_out) - MOST} more", aside=kind != "terminal")


def _cell(cell: Cell) -> str | Text:
    return Text(cell.text + SUPERSCRIPT[cell.place], style=STYLES[cell.place]) if cell.place else cell.text


def write(found: Comparison, out: Path, formats: Sequence[str]) -> list[Path]:
    """Every table as CSV, all of it as JSON, LaTeX and Markdown, and the figures; the paths."""
    from .figures import draw

    home = RunDir(out)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file", "name a folder: --out comparison")
    if (out / "run.json").exists():
        raise UserError(f"{out} is a run folder", "name another folder: --out comparison")
    written = []
    for name, table in tables(found).items():
        home.write(f"{name}.csv", csv(table).encode())
        written.append(out / f"{name}.csv")
    for kind, file in FILES.items():
        home.write(file, WRITERS[kind](found).encode())
        written.append(out / file)
    return [*written, *draw(found, out, formats)]
