"""Everything that is shown in a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .reporter import Quiet

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
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
    console.print(Text(f"{size} items wait for their labels", style="yellow"))
    say(f"  fill in the column label of {table}")  # lines of their own, whole: to be copied
    say(f"  then alrun resume {folder}")


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
        self._shares: list[float | None] = []
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

    def meaning(self, text: str) -> None:
        """What a strategy says of its scores."""
        say(text, "dim")

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
        """One line a cycle; the bars are its first metric, a share."""
        names = _told(metrics)
        width = {name: max(7, len(heading) + 2) for name, heading in names.items()}
        if not self._shares:
            headings = "".join(f"{heading:>{width[name]}}" for name, heading in names.items())
            say(f"\ncycle  labels{headings}   select    train", "dim")
        self._shares.append(metrics[next(iter(names))])
        figures = "".join(f"{number(metrics[name]):>{width[name]}}" for name in names)
        shown = "".join(" " if value is None else BARS[min(7, int(8 * value))] for value in self._shares[-40:])
        say(
            f"{metrics['cycle']:5d}{metrics['n_labelled']:8d}{figures}"
            f"{seconds(costs['select_s']):>9}{seconds(costs['train_s']):>9}  {shown}"
        )

    def end(self, outcome: Any) -> None:
        """How it went, and where the figures are."""
        text = Text("✓ ", style="green").append(f"{seconds(outcome.seconds)}   AULC {number(outcome.aulc)}", "default")
        console.print(text)
        for path in outcome.figures:
            if path.suffix == ".png":
                say(f"  {path}", "dim")


def _told(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The metrics of a cycle's line with their headings: those of tokens where no class can be right or wrong."""
    if metrics["test/accuracy"] is None and "test/token_nll" in metrics:
        return {"test/token_accuracy": "token acc", "test/token_nll": "token nll"}
    second = {"test/mae": "MAE"} if "test/mae" in metrics else {"test/macro_f1": "macro-F1"}
    return {"test/accuracy": "acc", **second, "test/nll": "nll", "test/ece": "ece"}


def plan(found: Mapping[str, Any]) -> None:
    """What a run would do, without doing it."""
    for name, value in found.items():
        console.print(Text(f"{name:14}", style="dim").append(str(value), style="default"), soft_wrap=True)
    console.print()
