"""A sweep: its cells are launched, their table is read from their folders, and what failed is named."""

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from . import launch, terminal
from .rundir import RunDir

PIPE = 160  # columns of a table that no terminal limits


def sweep(asked: list[str], config_dir: Path | None, cells: Sequence[Any], *, fresh: bool) -> bool:
    """Run what is not done of `cells` (prepare.Prepared), draw them together; whether none failed."""
    from .plots.draw import draw_comparison

    if fresh:
        for cell in cells:
            home = RunDir(cell.folder)
            if cell.folder.exists():
                with home.lock():
                    home.clear()
    reused = {cell.folder for cell in cells if RunDir(cell.folder).status() == "done"}
    table = SweepTable(cells, reused)
    if len(reused) < len(cells):
        with watching(table):
            launch.sweep(asked, config_dir, [cell.run for cell in cells if cell.folder not in reused])
    table.finish()
    done = [cell.folder for cell in cells if RunDir(cell.folder).status() == "done"]
    if done:
        for path in draw_comparison(done, Path(cells[0].run.runs_dir) / "comparison", ("png", "svg")):
            if path.suffix == ".png":
                terminal.say(f"  {path}", "dim")
    ended = [explain(cell.folder) for cell in cells if cell.folder not in done]
    return all(ended)


def explain(folder: Path) -> bool:
    """Say why a cell is not done; whether it only waits for people, or has been finished meanwhile."""
    home = RunDir(folder)
    error, status = home.provenance().get("error"), home.status()
    if status == "done":  # another sweep was at work in it, and came to its end
        return True
    if status == "asking":
        terminal.say(f"asks for labels: {folder / 'annotation'}", "yellow")
        return True
    if status == "running":
        reason = "another process is at work in it"
    else:
        reason = f"{error['type']}: {error['message']}" if error else "it was killed, or could not begin"
        if not error and folder.exists() and shutil.disk_usage(folder).free < 2**20:
            reason += ", and the disk is full"  # no room to say so in its folder
    terminal.failure(f"{folder}: {reason}", folder / "run.log")
    return False


class SweepTable:
    """The state of every cell of a sweep, read from the cells' folders."""

    def __init__(self, cells: Sequence[Any], reused: set[Path]) -> None:
        self.cells = cells  # Prepared
        self.reused = reused
        self.began = time.time()
        self.shown: set[Path] = set()
        self.over = False
        self.before = sum(row[1] for row in self.rows())  # cycles that were there

    def rows(self) -> list[tuple[Any, int, dict[str, Any], str, str]]:
        """(cell, cycles done, last metrics, status, error) per cell."""
        found = []
        for cell in self.cells:
            home = RunDir(cell.folder)
            lines = home.metrics()
            error = ""
            if cell.folder in self.reused:
                status = "reused"
            elif not (cell.folder / ".lock").exists():
                status = "waiting"
            else:
                status = home.status()
                if status in ("killed", "failed") and not self._touched(cell.folder):
                    status = "waiting"  # from an earlier sweep: its turn comes
                written = home.provenance().get("error") or {}
                error = f"{written.get('type')}: {written.get('message')}" if written and status == "failed" else ""
            found.append((cell, len(lines), lines[-1] if lines else {}, status, error))
        return found

    def _touched(self, folder: Path) -> bool:
        """Whether a process of this sweep has begun in a folder; when the sweep is over, everything counts."""
        log = folder / "run.log"
        return self.over or (log.exists() and log.stat().st_mtime >= self.began)

    def left(self, rows: Sequence[Any]) -> float | None:
        """Seconds until the last cell is done, at the pace of the cycles so far; None before the first."""
        total = sum(len(row[0].batches) + 1 for row in rows if row[3] != "failed")
        done = sum(row[1] for row in rows if row[3] != "failed")
        new = sum(row[1] for row in rows) - self.before
        return None if new <= 0 or done >= total else (time.time() - self.began) / new * (total - done)

    def render(self) -> Group:
        """The table as it is now."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name, side in (("run", "left"), ("cycle", "right"), ("", "left"), ("labels", "right"), ("acc", "right")):
            table.add_column(name, justify=side, no_wrap=name != "run", overflow="fold")  # type: ignore[arg-type]
        table.add_column("status", min_width=8, overflow="fold")
        rows = self.rows()
        counts = {status: sum(1 for row in rows if row[3] == status) for status in terminal.COLOURS}
        for cell, done, last, status, error in rows[:60]:
            total = len(cell.batches) + 1
            filled = round(12 * done / total)
            table.add_row(
                Text(label(cell)),
                f"{done}/{total}",
                Text("━" * filled, style="cyan").append("─" * (12 - filled), style="dim"),
                str(last.get("n_labelled", "")),
                terminal.number(last["test/accuracy"]) if last else "",
                Text(status, style=terminal.COLOURS[status]).append(f"  {error[:60]}", style="default"),
            )
        if len(rows) > 60:
            table.add_row(Text(f"... and {len(rows) - 60} more", style="dim"))
        done = counts["done"] + counts["reused"]
        parts = [f"{done} of {len(rows)} done", f"{counts['failed']} failed"]
        parts += [
            f"{counts[name]} {name}" for name in ("running", "waiting", "asking", "killed", "reused") if counts[name]
        ]
        left = None if self.over else self.left(rows)
        parts += [f"about {terminal.seconds(left)} left"] if left is not None else []
        return Group(table, Text(" · ".join(parts), style="dim"))

    def lines(self) -> None:
        """Say each newly ended cell once, where nobody looks at a live table."""
        for cell, done, last, status, error in self.rows():
            if status in ("done", "reused", "failed") and cell.folder not in self.shown:
                self.shown.add(cell.folder)
                accuracy = terminal.number(last["test/accuracy"]) if last else "–"
                terminal.say(f"{status:8} {label(cell)}  {done}/{len(cell.batches) + 1}  acc {accuracy}  {error}")

    def finish(self) -> None:
        """The table as it ended."""
        self.over = True
        # A console narrows what it is told to print wider than itself, and takes a pipe for 80 columns.
        console = terminal.console if terminal.console.is_terminal else Console(width=PIPE, highlight=False)
        console.print(self.render())


@contextmanager
def watching(table: SweepTable) -> Iterator[None]:
    """Keep the table on the screen, or say each cell that ends, while the sweep goes on."""
    if terminal.console.is_terminal:
        with Live(get_renderable=table.render, console=terminal.console, refresh_per_second=2, transient=True):
            yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            table.lines()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        table.lines()


def label(cell: Any) -> str:
    """A cell's folder, shortened to what tells cells apart."""
    return "/".join(cell.folder.parts[-4:])
