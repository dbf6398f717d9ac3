"""Runs for other tools: one long table, the chosen items, trackers that are told from files."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest
from fake_runs import fake_run
from tiny import command, done

from alrun.errors import UserError
from alrun.export import demand_tracker, long_table, write_table
from alrun.export.trackers import numbers
from alrun.plots.files import RunFiles


@pytest.fixture
def runs(here: Path) -> list[Path]:
    """Three runs of two strategies, and a damaged one."""
    root = here / "outputs"
    found = [fake_run(root, strategy=name, seed=seed) for name, seed in (("badge", 0), ("badge", 1), ("random", 0))]
    damaged = fake_run(root, strategy="margin")
    (damaged / "metrics.jsonl").write_text('{"cycle": 0}\n')
    return found


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_one_long_table(kind: str, runs: list[Path]) -> None:
    result = command("export", "outputs", "--format", kind, "--to", "out")
    assert result.exit_code == 0, result.output
    assert "left out" in result.stdout and "margin-low" in result.stdout
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    table = read(f"out/runs.{kind}")
    assert len(table) == sum(len(RunFiles(folder).rows) for folder in runs)
    assert set(zip(table.strategy, table.seed, strict=True)) == {("badge", 0), ("badge", 1), ("random", 0)}
    assert {"run", "dataset", "encoder", "model", "budget", "status", "code", "fingerprint"} <= set(table)
    one = table[table.run == runs[2].name]
    assert one["test/accuracy"].tolist() == [line["test/accuracy"] for line in RunFiles(runs[2]).rows]
    assert one["n_labelled"].tolist() == [0, 20, 40, 60, 80, 100]
    assert set(one["config.model.l2"]) == {0.01}


def test_options_of_several_types_become_words(here: Path) -> None:
    for seed, sigma in ((0, "auto"), (1, 0.5)):
        fake_run(here / "outputs", seed=seed, options={"sigma": sigma})
    table, left_out = long_table([here / "outputs"])
    assert not left_out
    found = pd.read_parquet(write_table(table, here / "runs.parquet"))
    assert set(found["config.strategy.sigma"]) == {"auto", "0.5"}


def test_a_number_beyond_64_bits_becomes_a_word(tmp_path: Path) -> None:
    table = pd.DataFrame({"small": [1, 2], "large": [1, 10**400], "gap": [None, 2**63]}, dtype=object)
    found = pd.read_parquet(write_table(table, tmp_path / "runs.parquet"))
    assert found["small"].tolist() == [1, 2]
    assert (found["large"][1], found["gap"][1]) == (f"1{'0' * 400}", str(2**63))


def test_the_chosen_items_for_an_annotation_tool(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    (here / "texts.csv").write_text(
        "text,label\n" + "".join(f'"word{n % 7}, ""{n}"" é",{"ab"[n % 2]}\n' for n in range(60)), encoding="utf-8"
    )
    asked = ("dataset=files", "dataset.train=texts.csv", "dataset.input=text", "dataset.label=label", "encoder=tfidf")
    folder = done(*asked, "dataset.pool=null", "strategy=margin")
    result = command("export", str(folder), "--selected", "--to", "out")
    assert result.exit_code == 0, result.output
    (path,) = Path("out").rglob("selected.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    bought = list(csv.DictReader((folder / "selections.csv").open()))
    assert [row["id"] for row in rows] == [int(row["index"]) for row in bought]
    assert [row["order"] for row in rows] == list(range(8))
    assert [row["cycle"] for row in rows] == [int(row["cycle"]) for row in bought]
    assert all(row["item"] == f'word{row["id"] % 7}, "{row["id"]}" é' for row in rows)
    assert all(row["label"] == "ab"[row["id"] % 2] for row in rows)
    assert [row["score"] for row in rows] == [float(row["score"]) for row in bought]
    table = list(csv.DictReader(path.with_name("selected.csv").open(encoding="utf-8", newline="")))
    assert [row["item"] for row in table] == [row["item"] for row in rows]
    (here / "texts.csv").write_text("text,label\n" + "".join(f"other {n},{'ab'[n % 2]}\n" for n in range(60)))
    again = command("export", str(folder), "--selected", "--to", "out")
    assert again.exit_code == 2
    assert "have changed since" in " ".join(again.stderr.replace("│", " ").split())


def test_what_cannot_be_exported(runs: list[Path]) -> None:
    assert "no export format 'xls'" in command("export", "outputs", "--format", "xls").stderr
    assert "no such path" in command("export", "nowhere").stderr
    Path("empty").mkdir()
    assert command("export", "empty").exit_code == 2
    Path("taken").write_text("mine")
    for wanted in (["--selected"], ["--format", "csv"]):
        refused = command("export", "outputs", *wanted, "--to", "taken")
        assert refused.exit_code == 2 and "taken is a file" in refused.stderr
    with pytest.raises(UserError, match="no tracker 'paper'"):
        demand_tracker("paper")
    assert "no tracker 'paper'" in command("run", "dataset=digits", "tracker=paper").stderr


def test_tensorboard_is_told_when_a_run_ends_and_again_by_export(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    folder = done("strategy=random", "tracker=tensorboard")

    def events(root: str) -> dict[str, list[tuple[int, float]]]:
        (file,) = Path(root).rglob("events.*")
        assert file.parent.name == folder.name
        seen = EventAccumulator(str(file.parent)).Reload()
        return {tag: [(e.step, e.value) for e in seen.Scalars(tag)] for tag in seen.Tags()["scalars"]}

    told = events("outputs/tensorboard")
    lines = RunFiles(folder).rows
    assert [step for step, _ in told["test/accuracy"]] == [line["n_labelled"] for line in lines]
    assert [v for _, v in told["test/accuracy"]] == pytest.approx([line["test/accuracy"] for line in lines])
    assert set(told) == {name for line in lines for name in numbers(line)}
    for _ in range(2):
        assert command("export", "outputs", "--format", "tensorboard", "--to", "out").exit_code == 0
    assert events("out") == told


def test_a_tracker_that_cannot_be_told_does_not_unmake_the_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(files: RunFiles, out: Path) -> Path:
        raise ConnectionError("nobody there")

    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    monkeypatch.setattr("alrun.export.trackers.find_spec", lambda name: True)
    monkeypatch.setitem(__import__("alrun.export.trackers").export.trackers.TRACKERS, "wandb", fails)
    folder = done("strategy=random", "tracker=wandb")
    assert (folder / "summary.json").exists()
    assert "nobody there" in (folder / "run.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_other_trackers_hold_a_run_once(tracker: str, runs: list[Path]) -> None:
    pytest.importorskip(tracker, reason=f"the extra {tracker} is not installed")
    for _ in range(2):
        result = command("export", str(runs[0]), "--format", tracker, "--to", "out")
        assert result.exit_code == 0, result.output
    if tracker == "wandb":
        (folder,) = Path("out/wandb/wandb").glob("offline-run-*")
        assert next(iter(folder.glob("*.wandb"))).stat().st_size > 1000
        return
    pytest.importorskip("sqlalchemy")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{Path('out/mlflow/mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "test/accuracy")
    expected = [(line["n_labelled"], line["test/accuracy"]) for line in RunFiles(runs[0]).rows]
    assert sorted((point.step, point.value) for point in history) == expected
    assert run.data.params["strategy.name"] == "badge"
