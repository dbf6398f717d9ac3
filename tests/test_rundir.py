"""What a run folder promises, without a run."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from alrun.errors import RunFailed, UserError
from alrun.rundir import COLUMNS, Bought, RunDir, below

NOTHING: Mapping[str, bytes] = MappingProxyType({})


def commit(home: RunDir, cycle: int, rows: list[int], files: Mapping[str, bytes] = NOTHING) -> None:
    """One cycle with made-up numbers."""
    bought = Bought(rows, [0] * len(rows), [0.5, None][: len(rows)])
    line = {"cycle": cycle, "n_acquired": len(rows), "test/accuracy": 0.1 * cycle}
    home.commit(cycle, line, {"cycle": cycle}, bought, {"test_prediction": np.arange(3, dtype=np.int32)}, files)


@pytest.fixture
def home(tmp_path: Path) -> RunDir:
    """Three cycles, the last of which buys nothing."""
    found = RunDir(tmp_path / "run")
    with found.lock():
        for cycle, rows in enumerate(([5, 3], [8, 1], [])):
            commit(found, cycle, rows)
    return found


def test_reads_what_was_committed(home: RunDir) -> None:
    assert [line["cycle"] for line in home.metrics()] == [0, 1, 2]
    assert home.selections() == [Bought([5, 3], [0, 0], [0.5, None]), Bought([8, 1], [0, 0], [0.5, None])]
    lines = (home.path / "selections.csv").read_text().splitlines()
    assert lines == [COLUMNS, "0,0,5,0,0.5", "0,1,3,0,", "1,0,8,0,0.5", "1,1,1,0,"]
    with np.load(home.path / "predictions" / "cycle_002.npz", allow_pickle=False) as found:
        assert found["test_prediction"].tolist() == [0, 1, 2]


def test_repair_leaves_a_whole_run_alone(home: RunDir) -> None:
    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    assert home.repair() == 3
    assert {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()} == before


def test_repair_leaves_what_others_put_there(home: RunDir) -> None:
    mine = (
        "models/notes.txt",
        "models/best/adapter.bin",
        "models/cycle_x/a",
        "predictions/notes.txt",
        "predictions/a/b",
    )
    theirs = ("models/cycle_003/head.safetensors", "predictions/cycle_1000.npz", "predictions/cycle_001.npz.partial")
    for name in (*mine, *theirs):
        (home.path / name).parent.mkdir(parents=True, exist_ok=True)
        (home.path / name).write_bytes(b"x")
    assert home.repair() == 3
    assert all((home.path / name).is_file() for name in mine)
    assert not any((home.path / name).exists() for name in theirs)
    assert not (home.path / "models/cycle_003").exists()


def test_what_became_of_models(tmp_path: Path) -> None:
    home = RunDir(tmp_path)
    for cycle in range(3):
        commit(home, cycle, [cycle], {"head": b"12345", "adapter": b"678"} if cycle else {})
    assert home.without_model() == [0] and home.damaged_models() == []
    first, second = tmp_path / "models/cycle_001", tmp_path / "models/cycle_002"
    (first / "head").write_bytes(b"1234")
    (first / "adapter").write_bytes(b"679")
    (second / "head").unlink()
    said = [f"{first / 'adapter'} does not have the content", f"{first / 'head'} has 4 bytes, 5 were written"]
    for found, wanted in zip(home.damaged_models(), [*said, f"{second / 'head'} is gone"], strict=True):
        assert found.startswith(wanted)

    # A cycle that is dropped takes its record along, also where it then comes without a model.
    (tmp_path / "predictions/cycle_001.npz").unlink()
    assert home.repair() == 1 and not first.exists()
    commit(home, 1, [1])
    assert home.without_model() == [0, 1] and home.damaged_models() == []


def test_models_of_folders_without_a_record(tmp_path: Path) -> None:
    home = RunDir(tmp_path)
    for cycle in range(3):
        commit(home, cycle, [cycle], {"head": b"12345"})
    (tmp_path / "models.json").unlink()
    assert home.without_model() == [] and home.damaged_models() == []
    (tmp_path / "models/cycle_001/head").unlink()
    assert home.without_model() == [1]
    shutil.rmtree(tmp_path / "models/cycle_001")
    assert home.without_model() == [1]


def test_a_run_that_buys_nothing_keeps_its_header(tmp_path: Path) -> None:
    home = RunDir(tmp_path)
    commit(home, 0, [])
    assert home.repair() == 1
    assert (tmp_path / "selections.csv").read_text() == COLUMNS + "\n"


def test_repair_drops_what_was_not_committed(home: RunDir) -> None:
    for name, more in (("metrics.jsonl", b'{"cycle": 3, "n_acq'), ("costs.jsonl", b'{"cycle": 3}\n')):
        with (home.path / name).open("ab") as file:
            file.write(more)
    with (home.path / "selections.csv").open("ab") as file:
        file.write(b"3,0,9,0,0.5\n3,1,")
    for name in ("cycle_003.npz", "cycle_004.npz.partial"):
        (home.path / "predictions" / name).write_bytes(b"PK")
    assert home.repair() == 3
    assert [len(home.metrics()), len(home.costs()), len(home.selections())] == [3, 3, 2]
    assert len((home.path / "costs.jsonl").read_text().splitlines()) == 3
    assert sorted(path.name for path in (home.path / "predictions").iterdir()) == [
        f"cycle_{cycle:03d}.npz" for cycle in range(3)
    ]


@pytest.mark.parametrize(
    ("name", "old", "new", "left"),
    [
        ("metrics.jsonl", '"cycle": 1', '"cycle": 7', 1),
        ("metrics.jsonl", '"n_acquired": 2', '"n_acquired": 3', 0),
        ("costs.jsonl", '{"cycle": 2}', "[2]", 2),
        ("selections.csv", "1,1,1,0,", "1,4,1,0,", 1),
        ("selections.csv", "0,0,5,0,0.5", "0,0,five,0,0.5", 0),
        ("selections.csv", COLUMNS, "cycle,index", 0),
    ],
)
def test_repair_keeps_the_sound_beginning(home: RunDir, name: str, old: str, new: str, left: int) -> None:
    path = home.path / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert home.repair() == left
    assert len(home.metrics()) == len(home.costs()) == left
    assert len(home.selections()) == min(left, 2)
    commit(home, left, [4])  # and it goes on from there
    assert home.repair() == left + 1


def test_bytes_that_are_no_text(home: RunDir) -> None:
    (home.path / "metrics.jsonl").write_bytes(b"\xff\xfe\n")
    (home.path / "selections.csv").write_bytes(b"\xff\xfe\n")
    assert home.repair() == 0
    assert (home.path / "metrics.jsonl").read_bytes() == (home.path / "selections.csv").read_bytes() == b""


def test_status_is_computed(home: RunDir) -> None:
    assert home.status() == "killed"
    with home.lock():
        assert home.status() == "running"
    home.write_json("run.json", {"schema": 1, "error": {"type": "ValueError", "message": "no"}})
    assert home.status() == "failed"
    home.write_json("summary.json", {"aulc": {}, "labels": {"points": [0, 2, 4]}})
    assert home.status() == "done"
    home.repair()
    assert home.status() == "done"
    (home.path / "predictions" / "cycle_002.npz").unlink()
    home.repair()
    assert home.status() == "failed"


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "null"])
def test_a_damaged_summary_is_none(home: RunDir, text: str) -> None:
    (home.path / "summary.json").write_text(text)
    assert home.summary() is None


@pytest.mark.parametrize("schema", [2, "1", None])
def test_a_newer_schema_is_refused(home: RunDir, schema: object) -> None:
    (home.path / "run.json").write_text(json.dumps({"schema": schema}))
    with pytest.raises(UserError, match="knows schema 1") as caught:
        home.provenance()
    assert "update alrun" in caught.value.hints[0]


@pytest.mark.parametrize("text", ['{"project": "another"}', "[1]"])
def test_a_foreign_folder_is_no_run(home: RunDir, text: str) -> None:
    (home.path / "run.json").write_text(text)
    with pytest.raises(UserError, match="is no run"):
        home.provenance()


def test_a_finished_run_that_lost_cycles_is_to_be_resumed(home: RunDir) -> None:
    home.write_json("run.json", {"schema": 1})
    home.write_json("summary.json", {"labels": {"points": [0, 2]}})
    (home.path / "metrics.jsonl").write_text('{"cycle": 0}\n{"cycle": 1}\n')
    assert home.status() == "done"
    (home.path / "metrics.jsonl").write_text('{"cycle": 0}\n')
    assert home.status() == "killed"


def test_only_one_holds_the_lock(home: RunDir) -> None:
    with home.lock(), pytest.raises(RunFailed, match="another process is at work"), RunDir(home.path).lock():
        raise AssertionError("two hold the lock")
    with home.lock():
        pass


def test_clear_keeps_the_lock(home: RunDir) -> None:
    home.clear()
    assert [path.name for path in home.path.iterdir()] == [".lock"]


def test_files_are_written_whole_or_not_at_all(home: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write("note", b"before")

    def interrupted(handle: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("alrun.rundir._to_disk", interrupted)
    metrics = (home.path / "metrics.jsonl").read_bytes()
    for action in (lambda: home.write("note", b"after"), lambda: commit(home, 3, [9])):
        with pytest.raises(KeyboardInterrupt):
            action()
    assert (home.path / "note").read_bytes() == b"before"
    assert (home.path / "metrics.jsonl").read_bytes() == metrics
    assert not list(home.path.rglob("*.partial"))


def test_no_number_is_not_written(home: RunDir) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        home.write_json("x.json", {"nan": float("nan")})
    assert not (home.path / "x.json").exists()


def test_below_finds_runs_at_any_depth(tmp_path: Path) -> None:
    for name in ("a/b/c", "a/d", "e"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}")
    assert below([tmp_path / "a", tmp_path / "a/d"]) == [tmp_path / "a/b/c", tmp_path / "a/d"]
    with pytest.raises(UserError, match="no such path"):
        below([tmp_path / "nowhere"])
