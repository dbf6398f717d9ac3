"""The same run twice at the same time, and many runs that want the same features."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import TINY, contents, done, start

from alrun.rundir import RunDir

# A slow strategy: it can be watched at work. It says that it began, and ends when the file `go` is there.
SLOW = """
import time
from pathlib import Path

from alrun.registry import strategy
from alrun.types import Selection


@strategy
def slow(view, n):
    Path("began").touch()
    while not Path("go").exists():
        time.sleep(0.02)
    chosen = view.unlabelled[:n]
    return Selection(chosen, chosen.double())
"""

# An encoder that counts its work: one byte a batch.
COUNTING = """
import time

import numpy as np

from alrun.encoders.encoder import Encoder, Work, blocks
from alrun.registry import encoder


@encoder
def counting(source):
    def encode(rows):
        with open("count", "ab") as file:
            file.write(b".")
        time.sleep(0.02)
        return np.asarray(source.items[rows], np.float32).reshape(len(rows), -1)

    return Encoder({"method": "counting"}, lambda device: Work(64, blocks(len(source), 100), encode))
"""

TOGETHER = """
import os, sys
import torch
from tiny import tiny
import alrun.run
from alrun.prepare import prepare
from alrun.run import Quiet, execute

torch.set_num_threads(1)
alrun.run.draw_run = lambda folder, formats: []
prepared = [prepare(tiny("encoder.name=counting", "plugins=[counting.py]", f"seed={seed}")) for seed in range(10)]
children = []
for one in prepared:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            execute(one, Quiet())
            code = 0
        finally:
            os._exit(code)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


@pytest.mark.slow
def test_the_same_command_twice(here: Path) -> None:
    (here / "slow.py").write_text(SLOW)
    (here / "mine" / "strategy").mkdir(parents=True)
    (here / "mine" / "strategy" / "slow.yaml").write_text("# Slow\nname: slow\n")
    asked = [*TINY, "--config-dir", "mine", "strategy=slow", "plugins=[slow.py]"]
    first = start("run", *asked)
    while not (here / "began").exists():
        assert first.poll() is None, first.communicate()
    second = start("run", *asked)
    said, complaint = second.communicate(timeout=300)
    assert second.returncode == 1
    assert "another process is at work in" in complaint
    assert "Traceback" not in complaint
    third = start("run", "-m", *asked, "seed=0")
    _, complaint = third.communicate(timeout=300)
    assert third.returncode == 1
    assert "another process is at work in it" in complaint
    (here / "go").touch()
    _, complaint = first.communicate(timeout=300)
    assert first.returncode == 0, complaint
    (folder,) = (path.parent for path in Path("outputs").rglob("run.json"))
    home = RunDir(folder)
    assert [line["cycle"] for line in home.metrics()] == [line["cycle"] for line in home.costs()] == [0, 1, 2, 3, 4]
    assert [len(batch.rows) for batch in home.selections()] == [10] * 4
    assert home.repair() == 5
    with start("run", *asked) as fourth:
        said, _ = fourth.communicate(timeout=300)
    assert fourth.returncode == 0
    assert "already done" in said


@pytest.mark.slow
def test_ten_runs_over_one_cold_cache(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALRUN_CACHE", str(here / "cold"))
    (here / "counting.py").write_text(COUNTING)
    (here / "together.py").write_text(TOGETHER)
    tests = Path(__file__).parent
    ran = subprocess.run(
        [sys.executable, "together.py"],
        env={**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert (here / "count").stat().st_size == 18, "1,797 items in batches of 100: once for all ten"
    assert len([path for path in (here / "cold" / "features").iterdir() if path.is_dir()]) == 1
    assert len(list((here / "cold" / "maps").glob("*.npz"))) == 1
    folders = [path.parent for path in Path("outputs").rglob("summary.json")]
    assert len(folders) == 10
    assert len({json.dumps(contents(folder)["selections.csv"].decode()) for folder in folders}) == 10


def test_a_finished_run_is_left_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    folder = done("strategy=random")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}
    assert done("strategy=random") == folder
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    } == before
