"""Launchers: the same runs in the same folders, wherever they are computed; and queues that lose jobs."""

import os
import stat
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import TINY, command, contents, tiny

from alrun import launchers
from alrun.config import Run
from alrun.errors import UserError
from alrun.rundir import RunDir
from alrun.sweep import SweepTable

SLURM = {"submitit_folder": "jobs/%j", "max_num_timeout": 0, "timeout_min": 5, "cpus_per_task": 1, "partition": None}


@pytest.fixture
def queue(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that answer as Slurm's do: jobs 7_0 and 7_1 are taken in, and are in the queue as `queue` lists them."""
    pytest.importorskip("submitit")
    answers = {
        "sbatch": "echo Submitted batch job 7",
        "srun": "exit 1",
        "squeue": f"echo x >> {here}/asked; test ! -e {here}/silent && cat {here}/queue",
    }
    (here / "bin").mkdir()
    for name, line in answers.items():
        path = here / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(launchers, "POLL_S", (0.01, 0.01))
    (here / "queue").write_text("7_0\n7_1\n")
    return here


def pair() -> list[Run]:
    """Two runs."""
    return [tiny("strategy=random"), tiny("strategy=margin")]


def test_a_job_that_leaves_the_queue_without_a_word_is_not_waited_for(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(pause: float) -> None:
        slept.append(pause)
        if len(slept) == 2:
            (queue / "silent").touch()  # the controller does not answer: nobody knows
        elif len(slept) == 4:
            (queue / "silent").unlink()
            (queue / "queue").write_text("7_1\n8\n")
        elif len(slept) == 6:
            (queue / "queue").write_text("")

    monkeypatch.setattr(launchers, "time", SimpleNamespace(sleep=sleep))
    launchers.submitit_slurm(pair(), SLURM)
    assert len(slept) == 6
    assert len((queue / "asked").read_text()) == 2 * 6


def test_jobs_stay_in_the_queue_when_the_command_is_interrupted(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(pause: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launchers, "time", SimpleNamespace(sleep=sleep))
    with pytest.raises(KeyboardInterrupt, match="2 jobs stay in the queue: scancel 7 takes them out"):
        launchers.submitit_slurm(pair(), SLURM)


def test_what_slurm_refuses_is_one_sentence(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (queue / "bin" / "sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpu' >&2\nexit 1"
    )
    with pytest.raises(UserError, match=r"Slurm refused the jobs: .*invalid partition specified: gpu"):
        launchers.submitit_slurm(pair(), SLURM)
    monkeypatch.setenv("PATH", str(queue))
    with pytest.raises(UserError, match="there is no Slurm here"):
        launchers.submitit_slurm(pair(), SLURM)


def test_a_launcher_gets_only_what_is_missing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict]] = []

    def note(runs: list[Run], options: dict) -> None:
        asked.extend((run.strategy["name"], options) for run in runs)

    monkeypatch.setitem(launchers.LAUNCHERS, "ray", note)
    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    assert command("run", *TINY, "strategy=random").exit_code == 0
    more = ("hydra/launcher=ray", "hydra.launcher.ray.remote.num_cpus=3")
    result = command("run", "-m", *TINY, "strategy=random,margin", *more)
    assert result.exit_code == 1, "nothing was computed"
    assert "1 of 2 done" in result.stdout and "1 reused" in result.stdout
    assert asked == [("margin", {"ray": {"init": {}, "remote": {"num_cpus": 3}}})]


def test_the_table_of_a_sweep_is_read_from_folders(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alrun.prepare import prepare
    from alrun.run import Quiet, execute

    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    cells = [prepare(tiny(f"strategy={name}")) for name in ("random", "margin", "entropy", "badge")]
    execute(cells[0], Quiet())
    execute(cells[1], Quiet())
    table = SweepTable(cells, {cells[0].folder})
    assert [row[3] for row in table.rows()] == ["reused", "done", "waiting", "waiting"]
    (cells[1].folder / "summary.json").unlink()
    os.utime(cells[1].folder / "run.log", (0, 0))
    assert table.rows()[1][3] == "waiting", "killed before this sweep began: its turn comes"
    os.utime(cells[1].folder / "run.log", (time.time() + 60, time.time() + 60))
    assert table.rows()[1][3] == "killed"
    with RunDir(cells[1].folder).lock():
        assert table.rows()[1][3] == "running"
    assert table.left(table.rows()) is None, "no cycle was committed since it began"
    execute(cells[2], Quiet())
    table.began = time.time() - 10
    left = table.left(table.rows())
    assert left is not None and 5 < left < 30, "5 cycles took 10 s, 5 are left"


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_every_launcher_leaves_the_same_bytes(launcher: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(launcher.partition("_")[0], reason=f"{launcher} is not installed")
    asked = ["run", "-m", *TINY, "strategy=random,margin"]
    result = command(*asked, f"hydra/launcher={launcher}", "runs_dir=there")
    assert result.exit_code == 0, result.output
    assert "2 of 2 done · 0 failed" in result.stdout
    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    assert command(*asked, "runs_dir=here").exit_code == 0
    there, home = ({p.parent.name: contents(p.parent) for p in Path(x).rglob("run.json")} for x in ("there", "here"))
    assert len(home) == 2 and there == home
