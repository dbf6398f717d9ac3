"""The worked examples of docs/ do what they say."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tiny_nets
import torch
from fake_runs import finished_run
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


def python_of(page: str) -> str:
    """The one Python block of a page."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return block


def test_tables_are_read_as_the_page_on_comparing_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        finished_run(tmp_path / "outputs", "random", seed, [0.1, 0.3 + seed / 100, 0.5])
        finished_run(tmp_path / "outputs", "badge", seed, [0.1, 0.5, 0.6 + seed / 100])
    exec(python_of("docs/compare.md"), {})
    said = capsys.readouterr().out
    assert said.startswith("[] []") and "digits · none-linear · low    badge      3" in said


def test_gradients_are_asked_for_as_the_page_says(tmp_path: Path) -> None:
    material, labels = tiny_nets.texts()
    learn = tiny_nets.learner(material, tiny_nets.bert(tmp_path / "bert"), train="lora")
    predictor = learn(torch.arange(8), labels[:8], np.random.default_rng(0))
    target = torch.arange(8)
    known = {"predictor": predictor, "folder": tmp_path / "store", "idx": torch.tensor([5, 9, 2])}
    known |= {"labels": labels[known["idx"]], "target_idx": target, "target_labels": target % 3}
    exec(python_of("docs/gradients.md"), known)
    lengths = torch.as_tensor(np.array(known["rows"])).norm(dim=1)
    products = torch.as_tensor(np.array(known["rows"])) @ known["goal"] / known["goal"].norm()
    assert torch.allclose(known["scores"][:, 0].float(), (products / lengths).float(), atol=1e-5)


@pytest.mark.parametrize("shown, file", [("python", "density.py"), ("yaml", "mine/strategy/density.yaml")])
def test_the_page_shows_the_files_as_they_are(shown: str, file: str) -> None:
    page = (ROOT / "docs/adding.md").read_text()
    block = re.search(rf"```{shown}\n# docs/examples/{re.escape(file)}\n(.*?)```", page, re.DOTALL)
    assert block
    assert block.group(1).strip() in (ROOT / "docs/examples" / file).read_text()
