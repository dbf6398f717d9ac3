"""A run that was killed, torn or refused goes on to the same bytes."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import KEPT, TINY, contents, done, parts, start, strategies, tiny

import alrun.run
from alrun.data.source import Source
from alrun.loop import cycles
from alrun.prepare import prepare
from alrun.run import Quiet, execute
from alrun.rundir import RunDir

STRATEGIES = strategies()


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn from files, after the last commit: these tests look at the files."""
    monkeypatch.setattr(alrun.run, "draw_run", lambda folder, formats: [])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["badge", "uherding"])
def test_killed_at_random_instants(strategy: str, here: Path) -> None:
    script = Path(__file__).with_name("kills.py")
    asked = [f"strategy={strategy}", "budget.phases=[{labels: 1, cycles: 8}]"]
    ran = subprocess.run(
        [sys.executable, script, here / "outputs", "25", *asked], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["kills"] == 25
    assert len(set(told["at"])) >= 3, "the kills hit different cycles"


@pytest.mark.slow
def test_the_command_killed_and_killed_again(here: Path) -> None:
    asked = [*TINY, "strategy=margin"]
    whole = contents(done(*asked, "runs_dir=whole"))
    folder = Path("outputs") / done_folder(asked)
    kills = 0
    for line in ("", "    0 ", "    3 "):  # before anything is said, after the first cycle, after a later one
        with start("run", *asked) as process:
            assert process.stdout is not None
            if line:
                for said in process.stdout:
                    if said.startswith(line):
                        break
            else:
                time.sleep(0.5)
            process.kill()
            kills += process.wait() == -signal.SIGKILL
    assert kills == 3
    assert RunDir(folder).status() == "killed"
    with start("resume", "outputs") as process:
        _, complaint = process.communicate()
    assert process.returncode == 0, complaint
    assert contents(folder) == whole
    assert RunDir(folder).status() == "done"
    assert (folder / "plots" / "curve.png").stat().st_size > 1000


def done_folder(asked: list[str]) -> Path:
    """Where the run lies below its runs_dir."""
    return prepare(tiny(*asked)).folder.relative_to("outputs")


def test_cut_at_every_byte_of_the_last_record(here: Path, no_pictures: None) -> None:
    folder = done("strategy=margin")
    whole = contents(folder, (*KEPT, "costs.jsonl"))
    cycles_in_all = len(RunDir(folder).metrics())
    last_batch = whole["selections.csv"].rfind(f"\n{cycles_in_all - 2},0,".encode()) + 1
    begins = {
        "metrics.jsonl": whole["metrics.jsonl"].rfind(b"\n", 0, -1) + 1,
        "costs.jsonl": whole["costs.jsonl"].rfind(b"\n", 0, -1) + 1,
        "selections.csv": last_batch,
    }
    summary, predictions = (folder / "summary.json").read_bytes(), sorted((folder / "predictions").iterdir())
    lost = {path: path.read_bytes() for path in predictions[-2:]}
    home = RunDir(folder)
    for name, begin in begins.items():
        kept = cycles_in_all - (2 if name == "selections.csv" else 1)
        for size in range(begin, len(whole[name])):
            (folder / "summary.json").write_bytes(summary)
            for other, content in whole.items():
                (folder / other).write_bytes(content[:size] if other == name else content)
            for path, content in lost.items():
                path.write_bytes(content)
            assert home.repair() == kept, f"{name} cut at {size}"
            assert len(home.metrics()) == len(home.costs()) == kept
            assert home.summary() is None, "a summary must not outlive what it sums up"
            for kind in KEPT:
                assert whole[kind].startswith((folder / kind).read_bytes())
            assert sorted((folder / "predictions").iterdir()) == predictions[:kept]


@pytest.mark.slow
def test_cut_predictions_are_made_again(here: Path, no_pictures: None) -> None:
    folder = done("strategy=margin")
    last = sorted((folder / "predictions").iterdir())[-1]
    content, before = last.read_bytes(), len(RunDir(folder).metrics())
    torn = here / "torn" / folder.name
    shutil.copytree(folder, torn)
    whole = {name: (torn / name).read_bytes() for name in (*KEPT, "costs.jsonl", "summary.json")}
    for size in range(len(content)):
        for name, text in whole.items():
            (torn / name).write_bytes(text)
        (torn / "predictions" / last.name).write_bytes(content[:size])
        assert RunDir(torn).repair() == before - 1, f"cut at {size}"
        assert not (torn / "predictions" / last.name).exists()


@pytest.mark.parametrize("name", ["metrics.jsonl", "costs.jsonl", "selections.csv", "predictions/cycle_004.npz"])
def test_a_torn_file_is_completed_to_the_same_bytes(name: str, here: Path, no_pictures: None) -> None:
    prepared = prepare(tiny("strategy=badge"))
    folder = execute(prepared, Quiet()).folder
    whole, content = contents(folder), (folder / name).read_bytes()
    predictions = {path.name: path.read_bytes() for path in (folder / "predictions").iterdir()}
    for size in sorted({0, 1, len(content) // 2, len(content) - 2, len(content) - 1}):
        (folder / name).write_bytes(content[:size])
        assert not execute(prepared, Quiet()).reused
        assert contents(folder) == whole, f"cut at {size}"
        assert {path.name: path.read_bytes() for path in (folder / "predictions").iterdir()} == predictions
    assert execute(prepared, Quiet()).reused


def test_files_that_went_missing_are_made_again(here: Path, no_pictures: None) -> None:
    prepared = prepare(tiny("strategy=random"))
    folder = execute(prepared, Quiet()).folder
    whole = contents(folder)
    for name in (*KEPT, "costs.jsonl", "summary.json", "run.json", "predictions/cycle_001.npz"):
        (folder / name).unlink()
        execute(prepared, Quiet())
        assert contents(folder) == whole, f"without {name}"
        assert RunDir(folder).status() == "done"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_cycles_continue_where_they_were_cut(strategy: str, here: Path) -> None:
    run, dataset, material, batches, first = parts(prepare(tiny(f"strategy={strategy}")))
    whole = list(cycles(run, dataset, material, batches, first))
    assert len(whole) == 5
    picks = [cycle.selection.indices for cycle in whole[:-1] if cycle.selection]
    for cut in range(len(whole)):
        again = list(cycles(run, dataset, material, batches, first, picks[:cut]))
        assert [cycle.index for cycle in again] == list(range(cut, len(whole)))
        for cycle, other in zip(whole[cut:], again, strict=True):
            assert json.dumps(cycle.metrics) == json.dumps(other.metrics)
            assert torch.equal(cycle.bought, other.bought)
            for name, array in cycle.predictions.items():
                assert np.array_equal(array, other.predictions[name])
            assert (cycle.selection is None) == (other.selection is None)
            if cycle.selection and other.selection:
                assert torch.equal(cycle.selection.indices, other.selection.indices)
                assert cycle.selection.scores.numpy().tobytes() == other.selection.scores.numpy().tobytes()


def test_changed_data_are_not_continued(here: Path, no_pictures: None) -> None:
    from dataclasses import replace

    from alrun.errors import UserError

    prepared = prepare(tiny("strategy=random"))
    execute(prepared, Quiet())
    other: Source = replace(prepared.source, fingerprint="0" * 64)
    with pytest.raises(UserError, match="have changed since it began"):
        execute(replace(prepared, source=other), Quiet())
    assert not execute(replace(prepared, source=other), Quiet(), fresh=True).reused


def test_a_watcher_does_not_stop_a_run(here: Path) -> None:
    import fcntl
    import threading

    home = RunDir(here / "run")
    with home.lock():
        pass
    watching = (home.path / ".lock").open()
    fcntl.flock(watching, fcntl.LOCK_SH)  # as RunDir.locked does for an instant
    threading.Timer(0.2, watching.close).start()
    with home.lock():
        assert watching.closed
