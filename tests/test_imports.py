"""Who may import whom, read from the files; and what the commands load, read from sys.modules."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import alrun

ROOT = Path(alrun.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py"))
# alrun's own modules that the files of a room may import; "." is the room itself.
ROOMS = {
    "numerics": {"numerics"},
    "strategies": {"strategies", "numerics", "types", "registry", "errors", "needs"},
    "plots": {"plots", "errors", "identity", "metrics", "rundir"},
    "stats": {"stats", "errors", "metrics"},
    "collect": {"collect", "identity", "errors", "rundir", "plots"},
    "identity": set(),
    "comparison": {"comparison", "collect", "stats", "plots", "terminal", "errors", "rundir"},
    "report": {"report", "collect", "stats", "plots", "rundir", "data", "config", "errors"},
    "models": {
        "models",
        "processes",
        "registry",
        "types",
        "errors",
        "needs",
        "numerics",
        "pretrained",
        "pictures",
        "exchange",
        "converted",
        "sound",
    },
    "gradients": {"gradients", "numerics", "processes", "types", "errors", "needs"},
    "encoders": {
        "encoders",
        "processes",
        "registry",
        "types",
        "errors",
        "data",
        "config",
        "pretrained",
        "pictures",
        "sound",
    },
    "pretrained": {"errors", "sound"},
    "sound": {"errors"},
    "processes": {"errors", "wire"},
    "wire": set(),
    "following": {"config", "encoders", "errors", "gradients", "models", "prepare", "processes", "registry", "run"},
    "pictures": {"pretrained", "errors"},
    "exchange": set(),
    "converted": {"encoders", "pretrained", "errors", "sound"},
    "data": {"data", "registry", "config", "errors", "streams", "exchange"},
    "evaluation": {"data", "metrics", "types"},
    "loop": {
        "registry",
        "config",
        "data",
        "errors",
        "evaluation",
        "models",
        "needs",
        "signals",
        "streams",
        "types",
        "budget",
    },
    "signals": {"gradients", "models", "needs", "streams", "types", "errors"},
    "needs": {"errors", "types"},
    "rehearsal": {"config", "errors", "models", "needs", "registry"},
    "metrics": set(),
    "streams": set(),
    "errors": set(),
    "types": {"numerics"},
    "budget": {"config", "errors"},
    "registry": {"errors"},
    "config": {"registry", "errors", "identity"},
    "rundir": {"errors", "kept"},
    "kept": set(),
    "launch": {"config", "errors", "launchers", "processes", "run"},
    "launchers": {"config", "errors", "run"},
    "sweep": {"launch", "plots", "rundir", "terminal"},
    "export": {"export", "collect", "data", "errors", "identity", "plots", "prepare", "rundir"},
}
OUTSIDE = {  # package -> the modules that may import it
    "hydra": {"launch", "errors"},
    "accelerate": {"processes"},
    "submitit": {"launchers"},
    "ray": {"launchers"},
    "joblib": {"launchers"},
    "omegaconf": {"launch", "errors", "config", "registry", "prepare", "run", "following"},
    "rich": {"cli", "terminal", "sweep", "listing", "comparison"},
    "typer": {"cli"},
    "tensorboard": {"export"},
    "mlflow": {"export"},
    "wandb": {"export"},
    "matplotlib": {"plots"},
}


def room(path: Path) -> str:
    """The folder below alrun, or the module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> set[tuple[str, bool]]:
    """(dotted name, whether it is imported when the file is) of everything a file imports."""
    found = set()
    package = ["alrun", *path.relative_to(ROOT).parts[:-1]]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        early = node not in inside
        if isinstance(node, ast.Import):
            found |= {(name.name, early) for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = ".".join([*base, *([node.module] if node.module else [])])
            found |= {(f"{whole}.{name.name}", early) for name in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_direction_of_imports(path: Path) -> None:
    here = room(path)
    for name, _ in imports(path):
        first, *rest = name.split(".")
        if first == "alrun" and here in ROOMS:
            there = rest[0] if rest else ""
            if (ROOT / there).exists() or (ROOT / f"{there}.py").exists():
                assert there in ROOMS[here], f"{here} may not import {name}"
        if first in OUTSIDE:
            assert here in OUTSIDE[first], f"{here} may not import {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_plots_and_the_front_door_load_nothing_heavy(path: Path) -> None:
    here, early = room(path), {name.split(".")[0] for name, early in imports(path) if early}
    if here == "plots":
        assert not early & {"torch", "transformers", "sklearn", "datasets"}
    if here in ("cli", "completion", "launch", "listing", "doctor", "config", "registry", "errors", "terminal"):
        assert not early & {"torch", "transformers", "sklearn", "pandas", "scipy", "matplotlib", "datasets"}
    tables = {"plots", "stats", "collect", "comparison", "report"}  # read by commands that need them anyway
    assert not early & {"transformers", "sklearn", "pandas", "datasets", "peft"} or here in tables
    if here in tables:
        assert not early & {"torch", "transformers", "sklearn", "datasets"}


def test_only_rundir_writes_run_files() -> None:
    """No other module of the trunk opens a file for writing; caches and pictures write their own."""
    writers = {
        "gradients",
        "rundir",
        "encoders",
        "converted",
        "maps",
        "plots",
        "comparison",
        "report",
        "listing",
        "export",
    }
    for path in FILES:
        if room(path) in writers:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert name not in ("write_text", "write_bytes", "savez", "savetxt", "to_csv", "dump"), f"{path}: {name}"
            if name == "open":
                modes = [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
                assert not any(set(mode) <= set("rwabx+t") and set(mode) & set("wax+") for mode in modes), path


def test_numerics_know_only_arrays() -> None:
    for path in FILES:
        if room(path) == "numerics":
            outside = {name.split(".")[0] for name, _ in imports(path)} - set(sys.stdlib_module_names)
            assert outside <= {"torch", "numpy", "alrun", "scipy"}, path


def loaded(code: str, here: Path) -> set[str]:
    """The packages in sys.modules after `code`, in a fresh process."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules), file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT.parent)},
    )
    return {line.split(".")[0] for line in ran.stderr.splitlines()}


COMMAND = """
from typer.testing import CliRunner
from alrun.cli import app
result = CliRunner().invoke(app, {words})
assert result.exit_code == 0, result.output
"""


@pytest.mark.parametrize(
    "words",
    [["--help"], ["run", "--help"], ["--version"], ["ls"], ["ls", "strategies"], ["ls", "datasets", "--json"],
     ["show", "badge"]],
    ids=" ".join,
)  # fmt: skip
def test_light_commands(words: list[str], here: Path) -> None:
    heavy = {"torch", "transformers", "sklearn", "scipy", "pandas", "matplotlib", "datasets"}
    assert not loaded(COMMAND.format(words=words), here) & heavy


def test_completion_is_light(here: Path) -> None:
    code = "from alrun.completion import overrides\nassert 'strategy=badge' in list(overrides('strategy=ba'))"
    heavy = {"torch", "transformers", "sklearn", "scipy", "pandas", "matplotlib", "datasets", "numpy"}
    assert not loaded(code, here) & heavy


def test_plotting_needs_no_torch(here: Path) -> None:
    from fake_runs import fake_run

    fake_run(here / "outputs")
    found = loaded(COMMAND.format(words=["plot", "outputs", "--format", "svg"]), here)
    assert not found & {"torch", "transformers", "sklearn", "datasets", "hydra"}
    assert list((here / "outputs").rglob("*.svg"))
