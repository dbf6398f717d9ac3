"""`alrun ls runs` names what is damaged and lists the rest."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import finished_run
from tiny import command

from alrun import listing

DAMAGE = {
    "metrics.jsonl": [{"test/accuracy": 10**400}, {"test/accuracy": "high"}, {"test/accuracy": [1]}],
    "run.json": [{"error": "boom"}, {"batches": 5}, {"schema": "x"}],
    "summary.json": [{"aulc": None}, {"aulc": {"accuracy": {}}}, {"labels": 5}],
}


@pytest.mark.parametrize(("name", "change"), [(name, change) for name in DAMAGE for change in DAMAGE[name]])
def test_a_damaged_file_makes_one_run_unreadable(tmp_path: Path, name: str, change: dict[str, object]) -> None:
    sound = finished_run(tmp_path, "random", 0, [0.1, 0.3])
    broken = finished_run(tmp_path, "random", 1, [0.1, 0.3])
    for home in (sound, broken):
        (home / "summary.json").write_text(json.dumps({"aulc": {"accuracy": 0.2}, "labels": {"points": [0, 20]}}))
    *before, last = (broken / name).read_text().splitlines(keepends=True) if name == "metrics.jsonl" else [None]
    told = json.loads(last or (broken / name).read_text()) | change
    (broken / name).write_text("".join(before) + json.dumps(told) + "\n")
    one, other = listing.runs([tmp_path])
    assert (one["status"], one["accuracy"], one["aulc"]) == ("done", 0.3, 0.2)
    assert other["status"] == "unreadable" and other["path"] == str(broken) and other["error"]
    assert "2 runs · 1 done" in command("ls", "runs", str(tmp_path)).stdout


@pytest.mark.parametrize("name", DAMAGE)
def test_a_pipe_makes_one_run_unreadable_and_keeps_nobody(tmp_path: Path, name: str) -> None:
    finished_run(tmp_path, "random", 0, [0.1, 0.3])
    broken = finished_run(tmp_path, "random", 1, [0.1, 0.3])
    (broken / name).unlink(missing_ok=True)
    os.mkfifo(broken / name)
    one, other = listing.runs([tmp_path])
    assert one["status"] != "unreadable"
    assert other["status"] == "unreadable" and other["error"] == f"{broken / name} is no plain file"


@pytest.mark.parametrize("started", [None, 5, "yesterday", "2026-01-01T00:00:00"])
def test_a_time_that_is_none_has_no_age(tmp_path: Path, started: object) -> None:
    finished_run(tmp_path, "random", 0, [0.1, 0.3], facts={"started": started})
    (tmp_path / "digits/none-linear/random-low/s0-0/summary.json").write_text('{"aulc": {}}')
    assert command("ls", "runs", str(tmp_path)).exit_code == 0


def test_a_folder_that_is_no_text_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    words = [sys.executable, "-m", "alrun", "ls", "runs", str(tmp_path)]
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict", "COLUMNS": "200"}
    said = subprocess.run(words, capture_output=True, env=strict, cwd=tmp_path)
    assert said.returncode == 0 and rb"caf\udce9" in said.stdout, said.stderr
    assert json.loads(json.dumps(listing.runs([tmp_path])))[0]["path"] == str(folder)
