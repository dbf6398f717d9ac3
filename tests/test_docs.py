"""The worked examples of docs/ do what they say."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alrun.cli import app
from alrun.rundir import RunDir

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def in_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("ALRUN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_example_strategy_runs_as_the_page_says(in_checkout: Path) -> None:
    command = re.search(r"^alrun (run --config-dir .*)$", (ROOT / "docs/adding.md").read_text(), re.MULTILINE)
    assert command
    words = [*shlex.split(command.group(1)), f"runs_dir={in_checkout / 'runs'}", "dataset.pool=200"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    (folder,) = [path.parent for path in in_checkout.rglob("summary.json")]
    assert "density-low" in str(folder)
    assert len(RunDir(folder).metrics()) == 6


@pytest.mark.parametrize("shown, file", [("python", "density.py"), ("yaml", "mine/strategy/density.yaml")])
def test_the_page_shows_the_files_as_they_are(shown: str, file: str) -> None:
    page = (ROOT / "docs/adding.md").read_text()
    block = re.search(rf"```{shown}\n# docs/examples/{re.escape(file)}\n(.*?)```", page, re.DOTALL)
    assert block
    assert block.group(1).strip() in (ROOT / "docs/examples" / file).read_text()
