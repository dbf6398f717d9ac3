"""Instruction data: prompts, completions and options from tables, and the roles their rows get."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pandas import DataFrame, Series

from alrun.config import DatasetConfig, Goal, config_dir, option
from alrun.data import load
from alrun.data.exchanges import exchanges, written
from alrun.data.instruct import readable
from alrun.data.source import Source
from alrun.data.split import split
from alrun.errors import UserError
from alrun.exchange import Exchange
from alrun.launch import cells

DATA = Path(os.environ.get("ALRUN_DATA", config_dir().parent.parent / "shared" / "data"))


def write(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def instructions(folder: Path, n: int = 12) -> str:
    rows = [
        {"instruction": f"do {k}", "input": f"with {k}" if k % 2 else None, "output": f"done {k}"} for k in range(n)
    ]
    return write(folder / "pool.jsonl", rows)


def task(folder: Path, name: str, n: int) -> str:
    return write(folder / name, [{"text": f"{name} {k}", "label": k % 2} for k in range(n)])


def config(folder: Path, **more) -> DatasetConfig:
    goal = Goal(
        train=task(folder, "near.jsonl", 10), test=task(folder, "far.jsonl", 8),
        prompt="Review: {text}", options=["bad", "good"], label="label",
    )  # fmt: skip
    about = {"prompt": "{instruction}\n\n{input}", "completion": "{output}", "goal": goal, "target": 2, **more}
    return DatasetConfig(name="instruct", method="instruction_files", train=instructions(folder), **about)


def test_every_row_has_its_role(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    source = load(cfg)
    assert source.kind == "instruction" and source.classes == ("bad", "good") and len(source) == 30
    assert source.items[0] == Exchange("do 0", ("done 0",))  # a missing input leaves no trace
    assert source.items[1] == Exchange("do 1\n\nwith 1", ("done 1",))
    dataset = split(source, cfg, 3)
    assert sorted(dataset.pool) == list(range(12))
    assert set(dataset.target) <= set(range(12, 22)) and set(dataset.test) == set(range(22, 30))
    assert source.labels[dataset.target].tolist() == [0, 0, 1, 1]
    assert all(source.items[row].options == ("bad", "good") for row in dataset.target)
    assert not source.labels[dataset.pool].any()


def test_what_encoders_read(tmp_path: Path) -> None:
    source = load(config(tmp_path))
    texts = readable(source)
    assert texts.kind == "text" and texts.fingerprint == source.fingerprint
    assert texts.items[1] == "do 1\n\nwith 1\ndone 1"
    assert texts.items[12] == "Review: near.jsonl 0", "the options of a question are not its text"


def test_a_part_of_the_test_rows_is_the_same_for_all(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    assert cfg.goal is not None
    few = load(replace(cfg, goal=replace(cfg.goal, rows=3)))
    assert len(few.test) == 3 and len(few) == 25
    again = load(replace(cfg, goal=replace(cfg.goal, rows=3), target=1))
    assert [few.items[row] for row in few.test] == [again.items[row] for row in again.test]


def test_without_a_test_file_a_share_is_cut(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    assert cfg.goal is not None
    source = load(replace(cfg, goal=replace(cfg.goal, test="0.4")))
    assert len(source.test) == 4 and source.aside is not None and len(source.aside) == 6
    alone = load(replace(cfg, goal=None, test="0.25"))
    assert len(alone.test) == 3 and alone.aside is None and alone.classes == ("option_0",)
    assert sorted(split(alone, replace(cfg, goal=None, target=0), 0).pool) == alone.train.tolist()


def test_options_in_a_column_and_labels_as_words(tmp_path: Path) -> None:
    rows = [{"ask": "q", "ends": ["a", "b", "c"], "right": "c"}, {"ask": "r", "ends": ["d", "e"], "right": 1}]
    path = write(tmp_path / "ends.jsonl", rows * 5)
    cfg = DatasetConfig(
        name="x", method="instruction_files", train=path, test="0.2", prompt="{ask}", options="ends", label="right"
    )
    source = load(cfg)
    assert source.classes == ("option_0", "option_1", "option_2")
    by_prompt = {source.items[row].prompt: source.labels[row] for row in range(10)}
    assert by_prompt == {"q": 2, "r": 1}


def refused(folder: Path, message: str, **more) -> None:
    with pytest.raises(UserError, match=message):
        load(config(folder, **more))


def test_mistakes(tmp_path: Path) -> None:
    refused(tmp_path, "no 'outputs' for dataset.completion", completion="{outputs}")
    refused(tmp_path, "dataset.prompt is missing", prompt=None)
    refused(tmp_path, "dataset.prompt='{instruction'", prompt="{instruction")
    refused(tmp_path, "either a completion or options", completion=None)
    refused(tmp_path, "either a completion or options", options=["a", "b"])
    refused(tmp_path, "both name a test split", test="0.2")
    refused(tmp_path, "dataset.path is not used", path="x")
    goal = config(tmp_path).goal
    assert goal is not None
    refused(tmp_path, "the label 1, none of its 1 options", goal=replace(goal, options=["bad"]))
    refused(tmp_path, "dataset.goal.options need dataset.goal.label", goal=replace(goal, label=None))
    refused(tmp_path, "no train rows to draw the target", goal=replace(goal, train=None))
    with pytest.raises(UserError, match=r"label_noise=0.1 .* have completions"):
        split(load(config(tmp_path)), config(tmp_path, label_noise=0.1), 0)
    with pytest.raises(UserError, match=r"too few for dataset\.target=6"):
        split(load(config(tmp_path)), config(tmp_path, target=6), 0)


def test_mistakes_name_the_option_that_was_given(tmp_path: Path) -> None:
    goal = config(tmp_path).goal
    assert goal is not None
    for key in ("train", "test"):
        refused(
            tmp_path, rf"dataset\.goal\.{key}=/none\.jsonl does not exist", goal=replace(goal, **{key: "/none.jsonl"})
        )
    refused(tmp_path, r"dataset\.goal\.test=1\.5 is not a share", goal=replace(goal, test="1.5"))
    refused(tmp_path, r"dataset\.test=-1 is not a share", goal=None, test="-1")
    cfg = replace(config(tmp_path), train="/none.jsonl")
    with pytest.raises(UserError, match=r"dataset\.train=/none\.jsonl does not exist"):
        load(cfg)


def test_templates_write_columns_of_any_name_and_refuse_what_cannot_be_written(tmp_path: Path) -> None:
    rows = [{"a.b": "x", "0": 1.25, "list": ["p", "q"], "none": None}] * 3
    known = list(rows[0])
    assert written(" {{{a.b}}} {0:.1f} {list}{none:>9} ", rows, known, "f", "o") == ["{x} 1.2 ['p', 'q']"] * 3
    for template in ("{instruction:>10d}", "{instruction!x}", "{instruction:{input}}"):
        refused(tmp_path, "dataset.prompt='{instruction.*cannot be written for the rows of pool.jsonl", prompt=template)


@pytest.mark.parametrize("ends", [None, "no", "[a, b]", 3, ["a", None]])
def test_a_row_without_a_list_of_options_is_named(tmp_path: Path, ends: object) -> None:
    rows = [{"ask": "q", "ends": ["a", "b"], "right": 1}, {"ask": "q", "ends": ends, "right": 1}]
    about = DatasetConfig(train=write(tmp_path / "r.jsonl", rows), prompt="{ask}", options="ends", label="right")
    with pytest.raises(UserError, match=r"row 1 of r\.jsonl has no list of texts in 'ends'"):
        load(replace(about, name="x", method="instruction_files"))


@pytest.mark.parametrize("label", [0.7, 1.2, -1, 2, 1e400, None, "x", [1]])
def test_a_label_is_a_whole_number_or_a_text(tmp_path: Path, label: object) -> None:
    frame = DataFrame({"ask": ["q", "q"], "right": Series([1.0, label], dtype=object)})
    about = DatasetConfig(prompt="{ask}", options=["a", "b"], label="right")
    with pytest.raises(UserError, match=r"row 1 of f has the label .*, none of its 2 options"):
        exchanges(frame, about, "dataset", "f")
    assert exchanges(frame.iloc[:1], about, "dataset", "f").labels.tolist() == [1]


def test_a_goal_of_which_nothing_is_given_is_no_goal(tmp_path: Path) -> None:
    words = ["dataset=instruct", f"dataset.train={instructions(tmp_path)}", "model=causal_lm"]
    run = cells([*words, "dataset.test=0.25"], multirun=False)[0].run
    assert run.dataset.goal is None and len(load(run.dataset).test) == 3
    with pytest.raises(UserError, match="no train rows") as caught:
        load(cells([*words, "dataset.test=0.25", "dataset.goal.rows=5"], multirun=False)[0].run.dataset)
    assert any("dataset.goal=null" in hint for hint in caught.value.hints)


@pytest.mark.parametrize(
    ("folder", "options"),
    [
        ("hellaswag", {"prompt": "{context}", "options": "endings", "label": "label"}),
        ("gsm8k", {"prompt": "{question}", "completion": "{answer}"}),
        ("sst2", {"prompt": "{text}", "options": ["negative", "positive"], "label": "label"}),
    ],
)
def test_real_tasks(folder: str, options: dict) -> None:
    for name in ("alpaca", "dolly", folder):
        if not (DATA / name).is_dir():
            pytest.skip(f"no {DATA / name}: ALRUN_DATA names the folder of benchmark data")
    goal = Goal(train=f"{DATA}/{folder}/train.parquet", test=f"{DATA}/{folder}/test.parquet", rows=20, **options)
    base = option("dataset", "instruct") | {"goal": goal}
    for pool, rows in (("alpaca", 8225), ("dolly", 2481)):
        source: Source = load(DatasetConfig(**(base | {"train": f"{DATA}/{pool}/train.parquet"})))
        assert len(source.train) == rows and len(source.test) == 20
        assert all(item.prompt for item in source.items)
        assert len(np.unique(source.labels[source.test])) == (1 if folder == "gsm8k" else len(source.classes))


def test_the_run_is_named_by_its_goal(tmp_path: Path) -> None:
    words = [f"dataset.train={instructions(tmp_path)}", "dataset=instruct", "model=causal_lm"]
    words += [f"dataset.goal.train={task(tmp_path, 'a.jsonl', 4)}", "dataset.goal.prompt='{text}?'"]
    run = cells(words, multirun=False)[0].run
    assert isinstance(run.dataset.goal, Goal) and run.dataset.goal.prompt == "{text}?"
