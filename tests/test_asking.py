"""Labels from people between cycles: a run that asks, stops and goes on ends with the bytes of an ordinary run."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tiny import command, contents, tiny

from alrun import asking
from alrun.config import run_path
from alrun.data import load
from alrun.errors import UserError, Waiting
from alrun.prepare import Prepared, prepare
from alrun.run import Quiet, execute, resume
from alrun.rundir import RunDir


@pytest.fixture
def texts(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words that choose the data of a small run; train.csv has all labels, bare.csv has none, test.csv always."""
    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])
    rng = np.random.default_rng(0)
    words = {"sport": "goal team win", "law": "court judge case", "food": "bread salt oven"}
    lines = [(" ".join(rng.choice([*words[name].split(), "the", "of"], 6)), name) for name in words for _ in range(40)]
    rng.shuffle(lines)
    for name, part, labelled in (("train", lines[:80], True), ("bare", lines[:80], False), ("test", lines[80:], True)):
        with (here / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["text", "length", "vowels", "label"])
            for text, label in part:
                numbers = [len(text) + len(set(text)) / 7, sum(letter in "aeio" for letter in text)]
                table.writerow([text, *numbers, label if labelled else ""])
    files = ["dataset=files", "dataset.name=notes", "dataset.input=text", "dataset.label=label", "encoder=tfidf"]
    return [*files, "dataset.test=test.csv", "dataset.pool=null", "dataset.target=0", "strategy=margin"]


def prepared(texts: list[str], train: str = "bare.csv", *more: str) -> Prepared:
    """The run that these words describe."""
    return prepare(tiny(*texts, f"dataset.train={train}", *more))


def true_labels() -> list[str]:
    """What a knowing person would say about each row."""
    return [line["label"] for line in csv.DictReader(Path("train.csv").open(newline=""))]


def fill(table: Path, say: dict[int, str] | None = None) -> None:
    """The simulated annotator: the true label of each item, or what `say` has for its id."""
    truth, lines = true_labels(), list(csv.DictReader(table.open(newline="")))
    for line in lines:
        line["label"] = (say or {}).get(int(line["id"]), truth[int(line["id"])])
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


@pytest.mark.parametrize(
    "strategy, train", [("margin", "bare.csv"), ("badge", "train.csv"), ("typiclust", "train.csv")]
)  # the order of the pool is drawn class by class: margin does not depend on it, the others ask beside known labels
def test_people_who_know_give_the_bytes_of_the_ordinary_run(strategy: str, train: str, texts: list[str]) -> None:
    # Numbers: features of texts are fitted, once for each of the two datasets, and equal but for rounding.
    table = [*(w for w in texts if not w.startswith(("dataset.input", "encoder"))), "dataset.input=[length,vowels]"]
    whole = execute(prepared(table, "train.csv", f"strategy={strategy}"), Quiet()).folder
    asked = prepared(table, train, f"strategy={strategy}", "oracle=file")
    assert (asked.source.labels[asked.source.train] == -1).all() == (train == "bare.csv")
    assert asked.folder != whole
    stops = 0
    for stops in range(1, 10):
        try:
            execute(asked, Quiet()) if stops % 2 else resume(asked.folder, Quiet())
            break
        except Waiting as waiting:
            assert RunDir(asked.folder).status() == "asking"
            with pytest.raises(Waiting):  # asked again, nothing is written anew
                execute(asked, Quiet())
            assert len(RunDir(asked.folder).metrics()) == stops - 1
            fill(waiting.table)
    assert stops == 5
    assert contents(asked.folder) == contents(whole)
    for name in ("cycle_000", "cycle_004"):
        mine, other = (np.load(folder / f"predictions/{name}.npz") for folder in (asked.folder, whole))
        same = [key for key in other.files if train == "train.csv" or key.startswith("test_")]
        assert same and all(np.array_equal(mine[key], other[key]) for key in same)
    assert RunDir(asked.folder).status() == "done"
    assert not (asked.folder / asking.HELD).exists()
    seen = np.load(asked.folder / "map.npz")
    known = RunDir(asked.folder).selections()
    bought = dict(zip([r for b in known for r in b.rows], [c for b in known for c in b.labels], strict=True))
    told = dict(zip(seen["index"].tolist(), seen["label"].tolist(), strict=True))
    assert all(told[row] == label for row, label in bought.items())
    assert all(label == -1 for row, label in told.items() if row not in bought)


def test_the_command_says_what_to_fill_in_and_how_to_go_on(texts: list[str]) -> None:
    words = [*texts, "dataset.train=bare.csv", "oracle=file", "budget.phases=[{labels: 1, cycles: 1}]"]
    result = command("run", *words)
    assert result.exit_code == 0, result.output
    (table,) = Path("outputs").rglob("annotation/cycle_000.csv")
    assert "3 items wait for their labels\n" in result.stdout
    assert f"fill in the column label of {table}\n" in result.stdout, "in one line, to be copied"
    assert f"alrun resume {table.parents[1]}\n" in result.stdout
    lines = [json.loads(line) for line in table.with_suffix(".jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [["id", "order", "cycle", "score", "label", "item"]] * 3
    assert all(line["label"] == "" and len(line["item"].split()) == 6 for line in lines)
    assert "asking" in command("ls").stdout
    assert command("resume").exit_code == 0
    (table.with_suffix(".jsonl")).write_text(
        "".join(json.dumps({"id": ln["id"], "label": "law"}) + "\n" for ln in lines)
    )
    result = command("run", *words)
    assert result.exit_code == 0, result.output
    assert [batch.labels for batch in RunDir(table.parents[1]).selections()] == [[1, 1, 1]]
    assert RunDir(table.parents[1]).status() == "done"


def test_answers_that_cannot_be_used(texts: list[str]) -> None:
    asked = prepared(texts, "bare.csv", "oracle=file")
    with pytest.raises(Waiting) as caught:
        execute(asked, Quiet())
    table = caught.value.table
    empty = table.read_bytes()
    ids = [int(line["id"]) for line in csv.DictReader(table.open(newline=""))]
    for say, complaint in (
        ({ids[1]: ""}, rf"1 of 3 labels are missing, first for id {ids[1]}"),
        ({ids[0]: "spotr"}, rf"'spotr' \(id {ids[0]}\) is no class of notes"),
    ):
        fill(table, say)
        with pytest.raises(UserError, match=complaint):
            execute(asked, Quiet())
        assert RunDir(asked.folder).metrics() == []
        table.write_bytes(empty)
    other = next(row for row in range(80) if row not in ids)
    for text, complaint in (
        (f"id,label\n{other},law\n", f"answers for id {other}, which is not in the batch"),
        ("id;label\n1;law\n", "has no columns id and label"),
        ("id,label\none,law\n", "line 2 has 'one' as its id"),
        ("id,label\n1.5,law\n", "line 2 has '1.5' as its id"),
        (f"id,label\n{ids[0]},law\n{ids[0]},food\n", f"says 'food' for id {ids[0]}, which was 'law' before"),
    ):
        table.write_text(text)
        with pytest.raises(UserError, match=complaint):
            execute(asked, Quiet())
    table.write_bytes(empty)
    fill(table)
    first = true_labels()[ids[0]]
    contrary = "law" if first != "law" else "food"
    table.with_suffix(".jsonl").write_text(json.dumps({"id": ids[0], "label": contrary}) + "\n")
    with pytest.raises(UserError, match=r"cycle_000.jsonl says '\w+' for id \d+, which was"):
        execute(asked, Quiet())
    table.with_suffix(".jsonl").write_text("no\n")
    with pytest.raises(UserError, match="line 1 is not JSON"):
        execute(asked, Quiet())
    table.with_suffix(".jsonl").unlink()
    with pytest.raises(Waiting):
        execute(asked, Quiet())
    assert len(RunDir(asked.folder).metrics()) == 1


def test_what_a_spreadsheet_makes_of_the_table(texts: list[str]) -> None:
    asked = prepared(texts, "bare.csv", "oracle=file")
    with pytest.raises(Waiting) as caught:
        execute(asked, Quiet())
    table = caught.value.table
    ids = [line["id"] for line in csv.DictReader(table.open(newline=""))]
    table.write_bytes("id,label\n1,caf\xe9\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"cycle_000.csv is not UTF-8: byte 14 is 0xe9"):
        execute(asked, Quiet())
    table.unlink()
    table.mkdir()
    with pytest.raises(UserError, match=r"cycle_000.csv cannot be read"):
        execute(asked, Quiet())
    table.rmdir()
    table.write_text("\ufeffid,label\r\n" + "".join(f"{row}.0,law\r\n" for row in ids), encoding="utf-8")
    with pytest.raises(Waiting):
        execute(asked, Quiet())
    assert RunDir(asked.folder).selections()[0].labels == [1, 1, 1]


def test_a_lost_file_is_written_again(texts: list[str]) -> None:
    asked = prepared(texts, "bare.csv", "oracle=file")
    with pytest.raises(Waiting) as caught:
        execute(asked, Quiet())
    both = [caught.value.table, caught.value.table.with_suffix(".jsonl")]
    before = [path.read_bytes() for path in both]
    for lost in (both[:1], both[1:], both):
        for path in lost:
            path.unlink()
        with pytest.raises(Waiting):
            execute(asked, Quiet())
        assert [path.read_bytes() for path in both] == before


def test_a_new_start_keeps_what_people_said(texts: list[str]) -> None:
    asked = prepared(texts, "bare.csv", "oracle=file")
    with pytest.raises(Waiting) as caught:
        execute(asked, Quiet())
    fill(caught.value.table)
    with pytest.raises(Waiting):
        execute(asked, Quiet())
    before = contents(asked.folder)
    with pytest.raises(Waiting) as caught:
        execute(asked, Quiet(), fresh=True)
    assert caught.value.table.name == "cycle_001.csv", "the first batch is chosen again and is answered already"
    assert contents(asked.folder) == before


def test_a_kill_between_commit_and_clearing_up_commits_once(texts: list[str]) -> None:
    asked = prepared(texts, "bare.csv", "oracle=file")
    with pytest.raises(Waiting) as caught:
        execute(asked, Quiet())
    held = (asked.folder / asking.HELD).read_bytes()
    fill(caught.value.table)
    with pytest.raises(Waiting):
        execute(asked, Quiet())
    before = contents(asked.folder)
    (asked.folder / asking.HELD).write_bytes(held)
    with pytest.raises(Waiting):
        execute(asked, Quiet())
    assert contents(asked.folder) == before
    (asked.folder / asking.HELD).write_bytes(held[:100])
    with pytest.raises(UserError, match="is damaged"):
        execute(asked, Quiet())


def test_what_needs_labels_that_nobody_gave(texts: list[str]) -> None:
    with pytest.raises(UserError, match="are missing, first in row 0"):
        prepared(texts)
    for more, complaint in (
        (["budget.initial=one_per_class"], "draws labels before the first batch"),
        (["dataset.imbalance=5"], "needs the labels of the pool"),
        (["dataset.label_noise=0.1"], "needs the labels of the pool"),
        (["dataset.target=2"], "too few for dataset.target"),
    ):
        with pytest.raises(UserError, match=complaint):
            prepared(texts, "bare.csv", "oracle=file", *more)


def test_a_few_labels_that_are_there_and_the_test_split_they_give(texts: list[str]) -> None:
    lines = Path("train.csv").read_text().splitlines()
    some = [line if n % 3 == 0 else line.rpartition(",")[0] + "," for n, line in enumerate(lines[1:])]
    Path("some.csv").write_text("\n".join([lines[0], *some]) + "\n")
    words = [word for word in texts if not word.startswith("dataset.test=")]
    source = prepared(words, "some.csv", "oracle=file").source
    assert set(source.labels[source.test].tolist()) == {0, 1, 2}
    assert (source.labels == -1).sum() == 53
    assert source.classes == ("food", "law", "sport")


def test_ordinary_runs_keep_their_folders(texts: list[str]) -> None:
    ordinary, people = (prepared(texts, "train.csv", *more).run for more in ((), ("oracle=file",)))
    assert run_path(ordinary) != run_path(people)
    assert load(people.dataset).fingerprint == load(ordinary.dataset).fingerprint
