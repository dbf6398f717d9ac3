"""Sweeps: lists, ranges, globs, experiment files, one's own strategies, and cells that fail."""

import os
import signal
import time
from pathlib import Path

import pytest
from tiny import TINY, command, start

from alrun.launch import cells
from alrun.rundir import RunDir
from alrun.sweep import explain

OWN = '''
"""Strategies of a user."""

from alrun.registry import strategy
from alrun.types import Selection


@strategy
def last(view, n, *, offset: int):
    chosen = view.unlabelled[len(view.unlabelled) - n - offset : len(view.unlabelled) - offset].flip(0)
    return Selection(chosen, chosen.double())


@strategy
def fails(view, n, *, at: int):
    if view.cycle == at:
        raise ArithmeticError("this strategy cannot count")
    chosen = view.unlabelled[:n]
    return Selection(chosen, chosen.double())


@strategy
def waits(view, n):
    import time
    from pathlib import Path

    Path("waiting").mkdir(exist_ok=True)
    (Path("waiting") / str(__import__("os").getpid())).touch()
    while not Path("go").exists():
        time.sleep(0.02)
    chosen = view.unlabelled[:n]
    return Selection(chosen, chosen.double())
'''
GRID = """# @package _global_
# A table of two strategies and two seeds
defaults:
  - override /dataset: digits
  - override /budget: one_per_class
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      strategy: random,margin
      seed: range(2)
"""


@pytest.fixture
def own(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with strategies and an experiment of one's own; in this process nothing is drawn."""
    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    (here / "own.py").write_text(OWN)
    for name, options in (("last", "offset: 0"), ("fails", "at: 2"), ("waits", "")):
        path = here / "mine" / "strategy" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Mine\nname: {name}\n{options}\n")
    (here / "mine" / "experiment").mkdir()
    (here / "mine" / "experiment" / "grid.yaml").write_text(GRID)
    return here


def chosen(*words: str, extra: Path | None = None) -> set[tuple[str, int]]:
    """(strategy, seed) of every cell."""
    return {(cell.run.strategy["name"], cell.run.seed) for cell in cells(words, multirun=True, extra=extra)}


def summaries() -> dict[Path, int]:
    """When each run below outputs was finished."""
    return {path.parent: path.stat().st_mtime_ns for path in Path("outputs").rglob("summary.json")}


def test_what_a_sweep_lists(own: Path) -> None:
    assert chosen(*TINY, "strategy=badge,margin", "seed=range(2)") == {
        (name, seed) for name in ("badge", "margin") for seed in (0, 1)
    }
    assert chosen(*TINY, "strategy=choice(badge,random)", "seed=3") == {("badge", 3), ("random", 3)}
    assert {name for name, _ in chosen(*TINY, "strategy=glob(*max*)")} == {"maxherding"}
    assert {name for name, _ in chosen(*TINY, "strategy=glob(*,exclude=[less*,*herding])")} >= {"badge", "random"}
    assert len(chosen(*TINY, "seed=1,1,1")) == 1


def test_an_experiment_brings_its_own_grid(own: Path) -> None:
    grid = {("random", 0), ("random", 1), ("margin", 0), ("margin", 1)}
    assert chosen("experiment=grid", extra=own / "mine") == grid
    assert chosen("experiment=grid", "seed=9", extra=own / "mine") >= {("random", 9), ("margin", 9)}
    result = command("run", "--dry-run", "--config-dir", "mine", "experiment=grid", "dataset.pool=300")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("none · linear") == 4
    assert not Path("outputs").exists()


def test_a_sweep_and_the_same_again_and_more(own: Path) -> None:
    asked = ["run", "-m", *TINY, "strategy=random,margin", "seed=range(2)"]
    first = command(*asked)
    assert first.exit_code == 0, first.output
    assert "4 of 4 done · 0 failed" in first.stdout
    table = first.stdout.partition("run  ")[2].splitlines()[1:5]
    assert all("margin-" in line or "random-" in line for line in table), "in a pipe a folder's name is not broken"
    assert all(line.rstrip().endswith("done") for line in table)
    before = summaries()
    assert len(before) == 4
    again = command(*asked)
    assert again.exit_code == 0
    assert "4 of 4 done · 0 failed · 4 reused" in again.stdout
    assert summaries() == before
    more = command(*asked[:-1], "seed=range(3)")
    assert more.exit_code == 0
    assert "6 of 6 done · 0 failed · 4 reused" in more.stdout
    assert len(summaries()) == 6
    assert before.items() <= summaries().items(), "what was there is not computed again"
    assert list(Path("outputs/comparison").glob("*.png"))
    assert explain(next(Path("outputs").glob("*/*/margin-*/s0-*"))), "finished by another sweep: no failure"
    fresh = command(*asked, "--fresh")
    assert fresh.exit_code == 0
    assert not before.items() & summaries().items()


def test_one_failing_cell_does_not_stop_the_others(own: Path) -> None:
    asked = ["run", "-m", *TINY, "--config-dir", "mine", "plugins=[own.py]", "strategy=fails,last", "seed=0,1"]
    result = command(*asked)
    assert result.exit_code == 1
    assert "2 of 4 done · 2 failed" in result.stdout
    folders = {path.parent for path in Path("outputs").rglob("run.json")}
    failed = {folder for folder in folders if RunDir(folder).status() == "failed"}
    assert len(failed) == 2
    for folder in failed:
        assert f"failed {folder}: ArithmeticError: this strategy cannot count" in result.stderr
        assert f"log: {folder / 'run.log'}" in result.stderr
        log = (folder / "run.log").read_text()
        assert "Traceback" in log and "ArithmeticError: this strategy cannot count" in log and "own.py" in log
        assert len(RunDir(folder).metrics()) == 2, "the cycles before stay"
    assert "Traceback" not in result.output
    single = command("run", *asked[2:-2], "strategy=fails")
    assert single.exit_code == 1
    assert "failed ArithmeticError: this strategy cannot count" in single.stderr
    assert "run.log" in single.stderr


@pytest.mark.slow
def test_jobs_run_side_by_side(own: Path) -> None:
    asked = ["run", "-m", *TINY, "--config-dir", "mine", "plugins=[own.py]", "strategy=fails,last", "seed=0,1"]
    with start(*asked, "--jobs", "2") as process:
        said, complaint = process.communicate(timeout=500)
    assert process.returncode == 1, complaint
    assert "2 of 4 done · 2 failed" in said
    assert complaint.count("ArithmeticError: this strategy cannot count") == 2
    assert "Traceback" not in said + complaint
    side_by_side = {folder.name: (folder / "metrics.jsonl").read_bytes() for folder in summaries()}
    assert command(*asked, "runs_dir=one").exit_code == 1
    alone = {
        path.parent.name: (path.parent / "metrics.jsonl").read_bytes() for path in Path("one").rglob("summary.json")
    }
    assert side_by_side == alone


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_leaves_no_processes(signum: signal.Signals, own: Path) -> None:
    asked = [*TINY, "--config-dir", "mine", "plugins=[own.py]", "strategy=waits", "seed=0,1", "--jobs", "2"]
    process = start("run", "-m", *asked, start_new_session=True)
    waiting = own / "waiting"
    while not waiting.exists() or len(list(waiting.iterdir())) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    if signum is signal.SIGINT:
        os.killpg(process.pid, signum)  # as a terminal does
    else:
        process.send_signal(signum)
    _, complaint = process.communicate(timeout=300)
    assert process.returncode == 130, complaint
    assert "interrupted" in complaint
    workers = [int(path.name) for path in waiting.iterdir()]
    for _ in range(100):
        left = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        if not left:
            break
        time.sleep(0.1)
    assert not left
