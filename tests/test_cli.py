"""What the commands say, and how they end. What they refuse is in test_bad_input.py."""

import json
from pathlib import Path

import pytest
from tiny import TINY, command, done, start

from alrun import __version__, run
from alrun.errors import RunFailed

COMMANDS = ["run", "resume", "plot", "compare", "export", "ls", "show", "cp", "doctor", "cache"]


def test_help_lists_the_commands(here: Path) -> None:
    said = command("--help").stdout
    assert all(name in said for name in COMMANDS)
    assert command("--version").stdout == f"alrun {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = command(name, "--help")
    assert result.exit_code == 0
    assert f"alrun {name}" in result.stdout.replace("Usage: ", "", 1), "it ends with an example"


def test_a_run_and_the_same_again(here: Path) -> None:
    first = command("run", *TINY, "strategy=margin")
    assert first.exit_code == 0, first.output
    lines = first.stdout.splitlines()
    assert "digits · none · linear · margin · low" in lines[0]
    assert lines[1].startswith("outputs/digits/none-linear/margin-low/s0-")
    assert "labels: 40 to buy + 20" in first.stdout, "every label is counted"
    assert "✓" in first.stdout and "AULC" in first.stdout
    assert first.stderr == ""
    folder = Path(lines[1])
    assert {"curve.png", "calibration.png", "classes.png", "tsne.png"} <= {p.name for p in (folder / "plots").iterdir()}
    about = json.loads((folder / "run.json").read_text())
    assert about["error"] is None and about["finished"] and about["labels"]["bought"] == 40
    again = command("run", *TINY, "strategy=margin")
    assert again.exit_code == 0
    assert f"already done: {folder}" in again.stdout
    plotted = command("plot", str(folder), "--format", "pdf")
    assert plotted.exit_code == 0
    assert (folder / "plots" / "curve.pdf").exists()


def test_a_run_says_what_its_scores_mean(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every strategy of a schedule, on the screen and in run.log, before any work; those with nothing to say do not."""

    def enough(*_):
        raise RunFailed("enough")

    monkeypatch.setattr(run, "encode", enough)
    stages = "[{strategy: less_alignment, until: 1}, {strategy: arena, until: 2}, {strategy: margin}]"
    lines = command("run", *TINY, "strategy=switch", f"strategy.schedule={stages}").stdout.splitlines()
    wanted = [
        "less_alignment: sign=aligned: + = a step on this item lowers the target's loss; high scores are preferred",
        "arena: sign=opposed: + = a step on this item raises the target's loss; high scores are preferred",
    ]
    assert lines[3:] == wanted
    log = (Path(lines[1]) / "run.log").read_text()
    assert [line.partition(" INFO ")[2] for line in log.splitlines()[1:3]] == wanted


def test_cfg_shows_and_does_nothing(here: Path) -> None:
    result = command("run", "--cfg", *TINY, "strategy=badge")
    assert result.exit_code == 0
    assert "name: badge" in result.stdout
    assert not list(here.iterdir())


def test_a_dry_run_writes_nothing(here: Path) -> None:
    result = command("run", "--dry-run", *TINY)
    assert result.exit_code == 0, result.output
    assert "pool 150" in result.stdout
    assert not list(here.iterdir())


def test_ls_and_show_and_resume(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    assert command("ls").exit_code == 0
    nothing = command("resume")
    assert (nothing.exit_code, nothing.stdout) == (0, "nothing to resume\n")
    folder = done("strategy=random")
    (entry,) = json.loads(command("ls", "--json").stdout)
    assert (entry["path"], entry["status"], entry["labels"]) == (str(folder), "done", 40)
    (folder / "summary.json").unlink()
    assert json.loads(command("ls", "--json").stdout)[0]["status"] == "killed"
    assert "alrun resume" in command("ls").stdout
    assert command("resume").exit_code == 0
    assert json.loads(command("ls", "--json").stdout)[0]["status"] == "done"
    assert "cycle" in command("show", str(folder)).stdout


def test_a_copied_config_runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    copied = command("cp", "strategy/maxherding", "mine")
    assert copied.exit_code == 0
    assert copied.stdout.startswith("mine/strategy/my_maxherding.yaml")
    ran = command("run", *TINY, "--config-dir", "mine", "strategy=my_maxherding", "strategy.sigma=0.5")
    assert ran.exit_code == 0, ran.output
    assert list(Path("outputs").rglob("my_maxherding-low/*/summary.json"))


def test_only_unfinished_runs_resume_and_one_bad_folder_does_not_stop_them(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    bad, good = (done("strategy=random", f"seed={seed}") for seed in (0, 1))
    for folder in (bad, good):
        (folder / "summary.json").unlink()
    (bad / "config.yaml").write_text("dataset: [\n")
    result = command("resume", "outputs")
    assert result.exit_code == 2
    assert result.stderr.count("╭") == 1
    assert (good / "summary.json").exists() and not (bad / "summary.json").exists()


@pytest.mark.slow
def test_what_is_said_where(here: Path) -> None:
    with start("run", *TINY, "strategy=nope") as process:
        said, complaint = process.communicate()
    assert (process.returncode, said) == (2, "")
    assert "did you mean" in complaint or "strategy has no option" in complaint
    with start("doctor") as process:
        said, complaint = process.communicate()
    assert (process.returncode, complaint) == (0, "")
    assert "hydra-core" in said
