"""Everything that is shown in a terminal."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .reporter import Quiet

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
PIPE = 160  # columns of a table that no terminal limits
BARS = "▁▂▃▄▅▆▇█"
COLOURS = {
    "done": "green",
    "reused": "green",
    "running": "cyan",
    "waiting": "dim",
    "asking": "yellow",
    "killed": "yellow",
    "failed": "red",
}


def mistake(message: str, hints: Sequence[str]) -> None:
    """A user's mistake: what is wrong, and the way out."""
    body = Text(message)
    for hint in hints:
        body.append("\nhint ", style="dim").append(hint)
    errors.print(Panel(body, title="Error", title_align="left", border_style="red"))


def failure(message: str, log: Path | None = None) -> None:
    """A run that could not go on."""
    errors.print(Text("failed ", style="red").append(message, style="default"), soft_wrap=True)
    if log is not None:
        errors.print(Text(f"  log: {log}", style="dim"), soft_wrap=True)


def asking(folder: Path, table: Path, size: int) -> None:
    """People are to label a batch before a run goes on."""
    body = Text(f"{size} items wait for their labels: fill in the column label of\n").append(str(table), style="cyan")
    body.append("\nthen ", style="dim").append(f"alrun resume {folder}")
    console.print(Panel(body, title="Labels", title_align="left", border_style="yellow"), soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """One line, taken literally."""
    console.print(Text(text, style=style), soft_wrap=True)


def remark(text: str, aside: bool = False) -> None:
    """What has to be known beside the numbers; `aside` keeps it out of what a program reads."""
    (errors if aside else console).print(Text("! ", style="yellow").append(text, style="default"), soft_wrap=True)


def tick(text: str, ok: bool = True) -> None:
    """One line of a check-up."""
    console.print(Text("✓  " if ok else "!  ", style="green" if ok else "yellow").append(text, style="default"))


def seconds(value: float | None) -> str:
    """A duration as people write it."""
    if value is None:
        return "–"
    if value < 60:
        return f"{value:.1f}s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes}m {rest:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"


def number(value: Any, digits: int = 3) -> str:
    """A figure for a table; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def columns(
    header: Iterable[str], rows: Iterable[Sequence[str | Text]], right: Iterable[str] = (), in_full: bool = False
) -> None:
    """A table without boxes; `in_full` lets it be wider than the terminal rather than cut a cell."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in header:
        table.add_column(name, justify="right" if name in set(right) else "left", no_wrap=name in set(right))
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    if in_full and (natural := Measurement.get(console, console.options.update(max_width=10_000), table).maximum):
        Console(highlight=False, width=max(natural, console.width)).print(table, soft_wrap=True)
    else:
        console.print(table)


def choices(groups: Mapping[str, Sequence[str]]) -> None:
    """Config groups and their options, as the last panel of a help page."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for group, names in groups.items():
        table.add_row(Text(group, style="cyan"), Text("  ".join(names)))
    console.print(Panel(table, title="Config groups", title_align="left", border_style="dim"))


def entry(name: str, about: str, details: Sequence[str]) -> None:
    """A name, what it is, and below it what it needs and costs."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_row(Text(name, style="cyan"), Text(about))
    if details:
        table.add_row(Text(" " * len(name)), Text("needs " + " · ".join(details), style="dim"))
    console.print(table)


class Screen(Quiet):
    """Shows one run while it goes on."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: Any = None
        self._accuracies: list[float] = []
        self._last_percent = -10

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away, whatever happened: it hides the cursor."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def begin(self, prepared: Any, done: int) -> None:
        """Who we are, what runs, where it goes, what labels it uses."""
        from . import __version__

        run = prepared.run
        words = " · ".join([run.dataset.name, run.encoder["name"], run.model["name"], run.strategy["name"]])
        console.print(Text(f"alrun {__version__}  ", style="dim").append(f"{words} · {run.budget.name}", style="cyan"))
        say(f"{prepared.folder}", "dim")
        dataset = prepared.dataset
        parts = [f"pool {len(dataset.pool):,}", f"test {len(dataset.test):,}", f"{len(dataset.source.classes)} classes"]
        labels = [f"{sum(prepared.batches):,} to buy"]
        if len(prepared.start):
            labels.append(f"{len(prepared.start):,} at the start")
        if len(dataset.target):
            labels.append(f"{len(dataset.target):,} in the target split (for strategies that need one)")
        say(f"seed {run.seed}   {' · '.join(parts)}   labels: {' + '.join(labels)}", "dim")
        noise, tail = run.dataset.label_noise, run.dataset.imbalance
        if noise or tail != 1:
            say(f"label noise {noise:.0%} · imbalance {tail:g} to 1", "yellow")
        if done:
            say(f"continuing after {done} committed cycles", "dim")

    def note(self, text: str) -> None:
        """Something worth a line."""
        say(f"! {text}", "yellow")

    def encoding(self, done: int, total: int) -> None:
        """A bar with items per second and time left; plain lines where nobody looks."""
        if not console.is_terminal:
            percent = 100 * done // total
            if percent >= self._last_percent + 10 or done == total:
                self._last_percent = percent
                say(f"encoding {done:,} of {total:,}", "dim")
            return
        self._bar("encoding", done, total)

    def working(self, what: str, done: int, total: int) -> None:
        """A bar that goes away; nothing where nobody looks."""
        if console.is_terminal:
            self._bar(what, done, total)

    def _bar(self, what: str, done: int, total: int) -> None:
        if self._progress is None:
            self._progress = Progress(
                TextColumn(what),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]} items/s"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task(what, total=total, completed=done, rate="–")
        speed = self._progress.tasks[0].speed
        self._progress.update(self._task, completed=done, rate=f"{speed:.0f}" if speed else "–")
        if done >= total:
            self._progress.stop()
            self._progress = None

    def cycle(self, metrics: dict[str, Any], costs: dict[str, Any]) -> None:
        """One line a cycle."""
        if not self._accuracies:
            kind = "MAE" if "test/mae" in metrics else "macro-F1"
            say(f"\ncycle  labels    acc{kind:>10}    nll    ece   select    train", "dim")
        self._accuracies.append(metrics["test/accuracy"])
        second = "mae" if "test/mae" in metrics else "macro_f1"
        figures = [number(metrics[f"test/{name}"]) for name in ("accuracy", second, "nll", "ece")]
        shown = "".join(BARS[min(7, int(8 * value))] for value in self._accuracies[-40:])
        say(
            f"{metrics['cycle']:5d}{metrics['n_labelled']:8d}{figures[0]:>7}{figures[1]:>10}{figures[2]:>7}{figures[3]:>7}"
            f"{seconds(costs['select_s']):>9}{seconds(costs['train_s']):>9}  {shown}"
        )

    def end(self, outcome: Any) -> None:
        """How it went, and where the figures are."""
        text = Text("✓ ", style="green").append(f"{seconds(outcome.seconds)}   AULC {number(outcome.aulc)}", "default")
        console.print(text)
        for path in outcome.figures:
            if path.suffix == ".png":
                say(f"  {path}", "dim")


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
        from .rundir import RunDir

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
        counts = {status: sum(1 for row in rows if row[3] == status) for status in COLOURS}
        for cell, done, last, status, error in rows[:60]:
            total = len(cell.batches) + 1
            filled = round(12 * done / total)
            table.add_row(
                Text(label(cell)),
                f"{done}/{total}",
                Text("━" * filled, style="cyan").append("─" * (12 - filled), style="dim"),
                str(last.get("n_labelled", "")),
                number(last["test/accuracy"]) if last else "",
                Text(status, style=COLOURS[status]).append(f"  {error[:60]}", style="default"),
            )
        if len(rows) > 60:
            table.add_row(Text(f"... and {len(rows) - 60} more", style="dim"))
        done = counts["done"] + counts["reused"]
        parts = [f"{done} of {len(rows)} done", f"{counts['failed']} failed"]
        parts += [
            f"{counts[name]} {name}" for name in ("running", "waiting", "asking", "killed", "reused") if counts[name]
        ]
        left = None if self.over else self.left(rows)
        parts += [f"about {seconds(left)} left"] if left is not None else []
        return Group(table, Text(" · ".join(parts), style="dim"))

    def lines(self) -> None:
        """Say each newly ended cell once, where nobody looks at a live table."""
        for cell, done, last, status, error in self.rows():
            if status in ("done", "reused", "failed") and cell.folder not in self.shown:
                self.shown.add(cell.folder)
                accuracy = number(last["test/accuracy"]) if last else "–"
                say(f"{status:8} {label(cell)}  {done}/{len(cell.batches) + 1}  acc {accuracy}  {error}")

    def finish(self) -> None:
        """The table as it ended."""
        self.over = True
        console.print(self.render(), width=None if console.is_terminal else PIPE)


@contextmanager
def watching(table: SweepTable) -> Iterator[None]:
    """Keep the table on the screen, or say each cell that ends, while the sweep goes on."""
    if console.is_terminal:
        with Live(get_renderable=table.render, console=console, refresh_per_second=2, transient=True):
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


def plan(found: Mapping[str, Any]) -> None:
    """What a run would do, without doing it."""
    for name, value in found.items():
        console.print(Text(f"{name:14}", style="dim").append(str(value), style="default"), soft_wrap=True)
    console.print()


def label(cell: Any) -> str:
    """A cell's folder, shortened to what tells cells apart."""
    return "/".join(cell.folder.parts[-4:])
