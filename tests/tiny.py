"""Small real runs on digits, and ways to look at what they leave."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from typer.testing import CliRunner, Result

from alrun.cli import app
from alrun.config import Run, config_dir
from alrun.launch import cells
from alrun.prepare import Prepared, prepare
from alrun.run import Quiet, encode, execute, material

BIN = str(Path(sys.executable).with_name("alrun"))
TINY = ("dataset=digits", "dataset.pool=150", "dataset.target=2", "budget.phases=[{labels: 1, cycles: 4}]")
KEPT = ("metrics.jsonl", "selections.csv")  # what must not depend on how often a run was killed


def strategies() -> list[str]:
    """Those that a linear head on digits can serve: others need completions or adapters, as their second line says."""
    folder = config_dir() / "strategy"
    needs = {path.stem: path.read_text().splitlines()[1] for path in sorted(folder.glob("*.yaml"))}
    return [name for name, line in needs.items() if "completions" not in line and "adapters" not in line]


def tiny(*overrides: str) -> Run:
    """The run that TINY and these overrides describe."""
    return cells([*TINY, *overrides], multirun=False)[0].run


def done(*overrides: str) -> Path:
    """The folder of a tiny run, finished, without its pictures."""
    prepared = prepare(tiny(*overrides))
    return execute(prepared, Quiet()).folder


def parts(prepared: Prepared):
    """What loop.cycles needs of a run."""
    matrix, _ = encode(prepared, Quiet())
    return prepared.run, prepared.dataset, material(prepared, matrix), prepared.batches, prepared.start


def contents(folder: Path, names: Sequence[str] = KEPT) -> dict[str, bytes]:
    """The files that are compared byte by byte."""
    return {name: (folder / name).read_bytes() for name in names}


def interrupted(folder: Path, cycles: int) -> None:
    """A finished run as a kill leaves it: `cycles` of its cycles are committed, files of later ones lie about."""
    (folder / "summary.json").unlink()
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:cycles]))


def kept_models(folder: Path) -> dict[str, bytes]:
    """What a run keeps of its models."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("models/*/*")}


def tree(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Everything below a folder: kind and content, links unfollowed."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def command(*words: str) -> Result:
    """`alrun words` in this process; stdout and stderr apart."""
    return CliRunner().invoke(app, list(words))


def start(*words: str, **more) -> subprocess.Popen:
    """`alrun words` as a process of its own."""
    return subprocess.Popen([BIN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
