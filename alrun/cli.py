"""The commands. No logic, and nothing heavy is imported before it is needed."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from . import __version__
from .completion import mend_bash, overrides
from .errors import REFUSALS, RunFailed, UserError, Waiting
from .processes import launched, left_alone


class Group(typer.core.TyperGroup):
    """Every end has its exit code: 0 done, 1 a run failed, 2 the command is wrong, 130 interrupted."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; its exceptions become a message and a code, in tests as in a shell."""
        from . import terminal

        try:
            return super().invoke(ctx)
        except UserError as error:
            terminal.mistake(error.message, error.hints)
            raise typer.Exit(2) from error
        except RunFailed as error:
            terminal.failure(str(error))
            raise typer.Exit(1) from error
        except Waiting as waiting:
            terminal.asking(waiting.folder, waiting.table, waiting.size)
            return None
        except KeyboardInterrupt as error:
            left = f"; {error}" if str(error) else ""
            terminal.failure(f"interrupted: committed cycles are kept, the same command continues{left}")
            raise typer.Exit(130) from None
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            terminal.failure(f"cannot write {error.filename or ''}: {REFUSALS[error.errno]}")
            raise typer.Exit(1) from error


class WithGroups(typer.core.TyperCommand):
    """A command whose help ends with what can be chosen."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Typer's help, then each config group with its options."""
        from . import terminal
        from .launch import options

        super().format_help(ctx, formatter)
        terminal.choices(options())


app = typer.Typer(
    cls=Group,
    name="alrun",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Choose which examples to label next, and show that the choice is right.",
    epilog="alrun run strategy=badge budget=low      alrun run -m strategy=badge,margin 'seed=range(5)'",
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[OVERRIDE]...", help="group=option or key=value, as Hydra reads them.", autocompletion=overrides
    ),
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        "--config-dir", exists=True, file_okay=False, help="A folder with options of your own; it adds to ours."
    ),
]
Paths = Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Run folders, or folders above them.")]
DEFAULT = Path("outputs")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        typer.echo(f"alrun {__version__}")
        raise typer.Exit


@app.command(
    cls=WithGroups,
    epilog="alrun run strategy=badge budget=low      alrun run -m strategy=badge,margin 'seed=range(5)' --jobs 2",
)
def run(
    override: Overrides = None,
    multirun: Annotated[
        bool, typer.Option("-m", "--multirun", help="Sweep over comma lists, range() and glob().")
    ] = False,
    cfg: Annotated[bool, typer.Option("--cfg", help="Show the composed config and stop.")] = False,
    config_dir: ConfigDir = None,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Runs at the same time in a sweep (needs the extra joblib).")
    ] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what these runs had and start again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Load everything, show the plan, write nothing.")] = False,
) -> None:
    """One run, or a sweep with -m. The same command again finishes what is missing and recomputes nothing.

    A run that another process is at work on is left to it (exit 1).
    """
    from . import launch, terminal

    asked = list(override or [])
    if cfg:
        typer.echo(launch.show(asked, config_dir), nl=False)
        return
    many = multirun or launch.wants_sweep(asked, config_dir)
    if jobs > 1 and not many:
        raise UserError(f"--jobs {jobs} is for sweeps", "add -m and list several values: strategy=badge,margin")
    if jobs > 1:
        asked += ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
    points = launch.cells(asked, multirun=many, extra=config_dir)

    from .prepare import demand_same, prepare
    from .run import execute

    cells = list({cell.folder: cell for cell in (prepare(point.run) for point in points)}.values())
    for cell in cells:
        demand_same(cell, fresh=fresh)
    if dry_run:
        from .plan import plans

        for lines in plans(cells):
            terminal.plan(lines)
        return
    if not many:
        with terminal.Screen() as screen, _log_named(cells[0].folder), _nothing_left(cells[0]):
            _say_reused(execute(cells[0], screen, fresh=fresh))
        return
    from .sweep import sweep

    if not sweep(asked, config_dir, cells, fresh=fresh):
        raise typer.Exit(1)


@contextmanager
def _log_named(folder: Path) -> Iterator[None]:
    """A failure of the run in `folder` is shown with its log, if there is one."""
    from . import terminal

    try:
        yield
    except RunFailed as error:
        log = folder / "run.log"
        terminal.failure(str(error), log if log.exists() else None)
        raise typer.Exit(1) from error


@contextmanager
def _nothing_left(cell: Any) -> Iterator[None]:
    """A mistake that shows only when the model and the strategy meet leaves no folder of a run that cannot be."""
    from .rundir import RunDir

    there = next(path for path in (cell.folder, *cell.folder.parents) if path.exists())
    try:
        yield
    except UserError:
        if there != cell.folder:
            RunDir(cell.folder).forget(there)
        raise


def _say_reused(outcome: Any) -> None:
    from . import terminal

    if outcome.reused:
        terminal.say(f"already done: {outcome.folder}")
        terminal.say(f"AULC {terminal.number(outcome.aulc)}   --fresh does it again, alrun plot redraws it", "dim")


@app.command(epilog="alrun resume      alrun resume outputs/bbc_news")
def resume(path: Paths = None) -> None:
    """Finish killed or failed runs below PATH (default: outputs)."""
    from . import terminal
    from .run import resume as finish
    from .run import unfinished
    from .rundir import below

    todo = unfinished(below(path or [DEFAULT])) if path or DEFAULT.exists() else []
    if not todo:
        terminal.say("nothing to resume")
        return
    code = 0
    for folder in todo:
        try:
            with terminal.Screen() as screen:
                finish(folder, screen)
        except Waiting as waiting:
            terminal.asking(waiting.folder, waiting.table, waiting.size)
        except RunFailed as error:
            code = max(code, 1)
            terminal.failure(f"{folder}: {error}", folder / "run.log")
        except UserError as error:
            code = 2
            terminal.mistake(error.message, error.hints)
    if code:
        raise typer.Exit(code)


@app.command(epilog="alrun plot      alrun plot outputs/bbc_news --format png,pdf")
def plot(
    path: Paths = None,
    format: Annotated[str, typer.Option("--format", help="png, svg, pdf; several with commas.")] = "png,svg",
    metrics: Annotated[
        str, typer.Option("--metrics", help="Of comparisons: target/nll,test/mae, or any others in metrics.jsonl.")
    ] = "",
) -> None:
    """Redraw every figure from saved runs: curves, calibration, classes, t-SNE; with a CSV of what is drawn."""
    from . import terminal
    from .plots.draw import draw_below

    formats = [name.strip() for name in format.split(",") if name.strip()]
    unknown = [name for name in formats if name not in ("png", "svg", "pdf")]
    if unknown or not formats:
        raise UserError(f"no figure format {', '.join(unknown) or 'given'}", "png, svg or pdf: --format png,pdf")
    wanted = [name.strip() for name in metrics.split(",") if name.strip()]
    for figure in draw_below(path or [DEFAULT], formats, wanted):
        terminal.say(str(figure), "dim")


@app.command(epilog="alrun report outputs/bbc_news      alrun report outputs --out page.html --no-items")
def report(
    path: Paths = None,
    out: Annotated[Path, typer.Option("--out", help="Where the page goes.")] = Path("report.html"),
    baseline: Annotated[str, typer.Option("--baseline", help="The strategy that others are compared with.")] = "random",
    metric: Annotated[str, typer.Option("--metric", help="What the findings are about.")] = "accuracy",
    items: Annotated[bool, typer.Option(help="Show texts and pictures, or row numbers only.")] = True,
    any_version: Annotated[
        bool, typer.Option("--any-version", help="Average runs of different versions of the code.")
    ] = False,
) -> None:
    """One HTML page of saved runs: findings, curves, what was bought, calibration, costs, how to reproduce.

    It holds everything and opens from disk (needs the extra report). Texts and pictures of the data stand in it.
    """
    from . import terminal
    from .report import write_report

    made = write_report(
        path or [DEFAULT], out, baseline=baseline, metric=metric, include_items=items, any_version=any_version
    )
    for note in made.notes:
        terminal.say(f"! {note}", "yellow")
    more = f", {made.left_out} folders in no average (named in it)" if made.left_out else ""
    terminal.say(f"{made.path}   {made.size / 1e6:.1f} MB, {made.runs} runs{more}")


@app.command(
    epilog="alrun compare outputs      alrun compare outputs/cifar10 --band bootstrap --out comparison      "
    "alrun compare outputs --format latex > table.tex"
)
def compare(
    path: Paths = None,
    metric: Annotated[str, typer.Option("--metric", help="As in metrics.jsonl, with or without test/.")] = "accuracy",
    baseline: Annotated[str, typer.Option("--baseline", help="The strategy that others are held against.")] = "random",
    band: Annotated[str, typer.Option("--band", help="Intervals over seeds: t or bootstrap.")] = "t",
    test: Annotated[str, typer.Option("--test", help="Of paired differences: t or wilcoxon.")] = "t",
    counts: Annotated[
        str, typer.Option("--counts", help="Label counts of the penalty matrix: doubling (1, 2, 4, ...) or all.")
    ] = "doubling",
    reach: Annotated[
        float, typer.Option("--reach", help="Labels to reach this per cent of what all labels give.")
    ] = 95,
    full: Annotated[float | None, typer.Option("--full", help="What all labels give, if no run says it.")] = None,
    any_version: Annotated[
        bool, typer.Option("--any-version", help="Average runs of different versions of the code.")
    ] = False,
    format: Annotated[str, typer.Option("--format", help="terminal, csv, json, latex or markdown.")] = "terminal",
    out: Annotated[
        Path | None, typer.Option("--out", help="A folder for all tables in all formats, and the figures.")
    ] = None,
) -> None:
    """Strategies side by side over seeds and data sets: curves, paired differences, ranks, gains, labels, cost.

    Runs that differ in more than the seed are never averaged together; damaged and unfinished ones are named.
    """
    from . import comparison, terminal

    comparison.demand_format(format)
    asked = comparison.Options(metric, baseline, band, test, reach, full, counts, any_version)
    found = comparison.compare(path or [DEFAULT], asked)
    comparison.show(found, format)
    if out is not None:
        for file in comparison.write(found, out, ("png", "svg")):
            if format == "terminal" and file.suffix in (".png", ".json", ".tex", ".md"):
                terminal.say(f"  {file}", "dim")


@app.command(epilog="alrun export outputs --format parquet      alrun export outputs/bbc_news --selected")
def export(
    path: Paths = None,
    format: Annotated[
        str, typer.Option("--format", help="A table (csv, parquet) or a tracker (tensorboard, mlflow, wandb).")
    ] = "csv",
    selected: Annotated[
        bool, typer.Option("--selected", help="The items each run chose, as CSV and JSON lines for annotation tools.")
    ] = False,
    to: Annotated[Path, typer.Option("--to", help="The folder to write into.")] = Path("export"),
) -> None:
    """Give runs to other tools: one long table of all cycles, a tracker's files, or the chosen items."""
    from . import terminal
    from .export import export as write

    written, left_out = write(path or [DEFAULT], format, to, selected=selected)
    for folder, reason in left_out:
        terminal.say(f"! left out {folder}: {reason}", "yellow")
    for file in written:
        terminal.say(str(file), "dim")


@app.command(epilog="alrun ls      alrun ls strategies      alrun ls runs outputs/bbc_news --json")
def ls(
    what: Annotated[
        str, typer.Argument(help="runs, strategies, datasets, encoders, models, budgets or experiments.")
    ] = "runs",
    path: Paths = None,
    json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    config_dir: ConfigDir = None,
) -> None:
    """List runs (default), or what can be chosen."""
    from . import listing

    listing.show(what, path or [DEFAULT], as_json=json, extra=config_dir)


@app.command(epilog="alrun show badge      alrun show outputs/bbc_news/minilm-linear/badge-low/s0-1a2b3c4d")
def show(name: Annotated[str, typer.Argument(metavar="PATH|NAME", help="A run folder, or a shipped config.")]) -> None:
    """One run in full, or the YAML of a shipped config."""
    from . import listing

    listing.show_one(name)


@app.command(epilog="alrun cp strategy/maxherding mine && alrun run --config-dir mine strategy=my_maxherding")
def cp(
    name: Annotated[str, typer.Argument(help="A shipped config, as `alrun ls` shows it.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Your own config folder.")],
    to: Annotated[str | None, typer.Option("--as", help="Its new name (default: my_NAME).")] = None,
) -> None:
    """Copy a shipped config to edit; then --config-dir DIR."""
    from . import listing, terminal

    target = listing.copy(name, folder, to)
    terminal.say(str(target))
    terminal.say(f"use it: alrun run --config-dir {folder} {target.parent.name}={target.stem}", "dim")


@app.command(epilog="alrun doctor")
def doctor() -> None:
    """Versions, devices, Hydra plugins, packages of the extras, caches, write access."""
    from . import doctor as checks

    checks.show()


@app.command(epilog="alrun cache      alrun cache bbc_news minilm      alrun cache --clear")
def cache(
    name: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Datasets and encoders to fetch.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget all cached features and maps.")] = False,
) -> None:
    """Fetch datasets and encoders before going offline, or show or clear what is cached."""
    from . import listing

    if clear:
        listing.clear_cache()
    elif name:
        listing.fetch(name)
    else:
        listing.show_cache()


def _terminate(signum: int, frame: Any) -> None:
    """SIGTERM ends a run as Ctrl-C does: committed cycles are kept."""
    raise KeyboardInterrupt


def main() -> None:
    """The entry point of the command."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as of stderr: a name of a folder may be no text
    signal.signal(signal.SIGTERM, _terminate)
    mend_bash()
    if launched():
        from .following import in_company

        in_company(app)
        return
    if left_alone():
        from . import terminal

        terminal.remark("accelerate started one process: --multi_gpu starts several, on CPUs too (device=cpu)", True)
    app()
