"""Tasks besides classes of single items: pairs of texts, and numbers on a scale."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import tiny

from alrun.config import DatasetConfig, run_path
from alrun.data import load
from alrun.data.assemble import Rows, assemble
from alrun.data.scale import Scale, binned, exact
from alrun.data.source import digests
from alrun.encoders.tfidf import tfidf
from alrun.errors import UserError
from alrun.prepare import prepare
from alrun.run import Quiet, execute

DATA = Path(os.environ.get("ALRUN_DATA", Path(__file__).parents[2] / "shared" / "data"))


def config(**options) -> DatasetConfig:
    return DatasetConfig(
        name="mine", method="files", **{k: str(v) if k in ("train", "test") else v for k, v in options.items()}
    )


def pairs(n: int = 20) -> pd.DataFrame:
    return pd.DataFrame(
        {"one": [f"the cat {i}" for i in range(n)], "two": [f"a dog {i % 3}" for i in range(n)], "y": [0, 1] * (n // 2)}
    )


def test_two_columns_of_texts_are_a_pair(tmp_path: Path) -> None:
    frame = pairs()
    frame.loc[2, "one"], frame.loc[5, "two"] = "NA", ""
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    found = [load(config(train=tmp_path / name, input=["one", "two"], label="y")) for name in ("a.csv", "a.parquet")]
    assert found[0].kind == "pair" and found[0].columns == ()
    assert found[0].items == list(zip(frame["one"], frame["two"], strict=True))
    assert found[0].fingerprint == found[1].fingerprint
    assert found[0].warnings == ("1 empty second texts",)
    swapped = load(config(train=tmp_path / "a.csv", input=["two", "one"], label="y"))
    assert swapped.fingerprint != found[0].fingerprint


def test_where_a_pair_is_divided_counts() -> None:
    one, two, same = digests([("ab", "c"), ("a", "bc"), ("ab", "c")])
    assert one != two and one == same
    assert digests(["abc"])[0] not in (one, two)


def test_a_text_and_a_number_are_no_pair(tmp_path: Path) -> None:
    pairs().assign(n=1.5).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(UserError, match=r"column 'one' of a.csv is not numeric"):
        load(config(train=tmp_path / "a.csv", input=["one", "n"], label="y"))


def test_a_pair_is_both_texts_and_how_they_differ() -> None:
    items = [("red car", "blue car"), ("red car", "red car"), ("blue tree", "blue car"), ("blue tree", "red tree")] * 3
    source = assemble("toy", "pair", Rows(items, np.array([0, 1] * 6)))
    work = tfidf(source, dimensions=3, words=50).start("cpu")
    features = work.encode(np.arange(12))  # (12, 4 F)
    assert features.shape == (12, work.width) and work.width == 12
    first, second, apart, product = np.split(features, 4, axis=1)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(apart, np.abs(first - second))
    np.testing.assert_array_equal(product, first * second)
    assert apart[1].max() == 0 and apart[0].max() > 0.1


@pytest.mark.parametrize(("name", "train", "test"), [("mrpc", 4076, 1725), ("rte", 2489, 277)])
def test_benchmarks_of_pairs(name: str, train: int, test: int) -> None:
    if not (DATA / name / "train.parquet").exists():
        pytest.skip(f"no {name} below {DATA}")
    paths = {part: DATA / name / f"{part}.parquet" for part in ("train", "test")}
    source = load(config(**paths, input=["text_a", "text_b"], label="label"))
    assert (source.kind, len(source.train), len(source.test), len(source.classes)) == ("pair", train, test, 2)
    row = pd.read_parquet(paths["train"]).iloc[7]
    assert source.items[7] == (row["text_a"], row["text_b"])


def test_a_run_on_pairs(here: Path) -> None:
    rng = np.random.default_rng(0)
    words = np.array(["sun", "moon", "rain", "wind", "snow", "fog"])
    rows = [(words[rng.integers(6, size=3)], int(same)) for same in rng.integers(2, size=80)]
    table = [
        {"a": " ".join(w), "b": " ".join(w[::-1] if y else words[rng.integers(6, size=3)]), "y": y} for w, y in rows
    ]
    pd.DataFrame(table).to_csv("pairs.csv", index=False)
    run = tiny("dataset=files", "dataset.train=pairs.csv", "dataset.input=[a,b]", "dataset.label=y",
               "dataset.pool=null", "encoder=tfidf", "budget.phases=[{labels: 5, cycles: 2}]")  # fmt: skip
    folder = execute(prepare(run), Quiet()).folder
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["n_labelled"] for line in lines] == [0, 10, 20]
    assert all(line["target/nll"] > 0 for line in lines)


# -- numbers on a scale ----------------------------------------------------------------------------------------------


def rated(labels, n: int = 24, **options) -> object:
    numbers = np.arange(n, dtype=np.float32)[:, None]
    return assemble("rated", "table", Rows(numbers, np.resize(labels, n)), graded=Scale(**options))


def test_levels_are_the_distinct_numbers_ascending() -> None:
    source = rated([3.5, 1.0, 2.25, 1.0])
    assert source.classes == ("1", "2.25", "3.5")
    assert source.levels.tolist() == [1.0, 2.25, 3.5]
    assert source.labels[:4].tolist() == [2, 0, 1, 0]
    np.testing.assert_array_equal(source.levels[source.labels], source.values)
    assert rated(["3", "10", "2"]).levels.tolist() == [2.0, 3.0, 10.0]  # as numbers, not as words


def test_the_name_of_a_class_may_stand_for_its_number() -> None:
    source = assemble("stars", "text", Rows(list("abcdefghijkl"), np.array([0, 2, 1, 0] * 3)),
                      classes=["poor", "fair", "good"], graded=Scale())  # fmt: skip
    assert source.classes == ("poor", "fair", "good") and source.levels.tolist() == [0, 1, 2]


def test_classification_knows_no_levels() -> None:
    source = assemble("plain", "table", Rows(np.arange(8.0, dtype=np.float32)[:, None], np.arange(8) % 2))
    assert source.levels is None and source.values is None


def test_other_values_in_the_test_split_go_to_the_nearest_level() -> None:
    numbers = np.arange(8, dtype=np.float32)[:, None]
    test = Rows(numbers[:4] + 0.5, np.array([1.4, 2.5, 3.9, 2.0]))
    source = assemble("rated", "table", Rows(numbers, np.array([1, 2, 3, 3] * 2)), test, graded=Scale())
    assert source.labels[source.test].tolist() == [0, 1, 2, 1]  # half-way: the lower one
    assert source.values[source.test].tolist() == [1.4, 2.5, 3.9, 2.0]
    assert any("3 test labels are between or beyond" in text for text in source.warnings)


def test_bins_are_quantiles_of_train_rows_and_levels_their_means() -> None:
    numbers = np.arange(40, dtype=np.float32)[:, None]
    test = Rows(numbers[:4] + 0.5, np.array([1e6, -1e6, 1.0, 1.0]))
    source = assemble("wide", "table", Rows(numbers, np.arange(40) ** 2), test, graded=Scale(4))
    assert np.bincount(source.labels[source.train]).tolist() == [10, 10, 10, 10]
    means = [(np.arange(k, k + 10) ** 2).mean() for k in (0, 10, 20, 30)]
    assert source.levels.tolist() == means
    assert source.classes[1] == "100 to 361"
    assert source.labels[source.test].tolist() == [3, 0, 0, 0]
    assert source.values[source.test][0] == 1e6  # errors are those of the numbers, not of the bins


def test_bins_that_repeat_are_one() -> None:
    source = rated([1, 1, 1, 1, 1, 5], bins=4)
    assert source.classes == ("1", "5") and source.levels.tolist() == [1, 5]
    assert any("4 bins asked for, 2 found" in text for text in source.warnings)


def test_test_rows_do_not_move_the_bins() -> None:
    rng = np.random.default_rng(0)
    numbers, labels = np.arange(100, dtype=np.float32)[:, None], rng.normal(size=100)
    source = assemble("cut", "table", Rows(numbers, labels), graded=Scale(5))
    assert len(source.test) == 30 and np.bincount(source.labels[source.test]).min() >= 4  # stratified
    again = binned(np.round(labels[source.train], 6), 5, "cut")
    np.testing.assert_array_equal(source.levels, again.levels)


def test_what_no_scale_can_be_made_of() -> None:
    with pytest.raises(UserError, match="200 different labels, more than the 64") as caught:
        rated(np.arange(200) / 7, 400)
    assert "dataset.bins=10" in caught.value.hints[0]
    with pytest.raises(UserError, match=r"needs labels that are numbers, rated .* has 'good'"):
        rated(["good", "bad"])
    with pytest.raises(UserError, match="on one level, 3: there is nothing to learn"):
        rated([3])
    with pytest.raises(UserError, match="12 levels for 16 items"):
        exact(np.arange(16) % 12, "few")
    with pytest.raises(UserError, match="infinite"):
        rated([1.0, np.inf])
    with pytest.raises(UserError, match="missing"):
        rated([1.0, np.nan])


def test_bins_belong_to_ordinal_tasks() -> None:
    with pytest.raises(UserError, match=r"dataset.bins=4 with dataset.task=classification"):
        tiny("dataset.bins=4")
    with pytest.raises(UserError, match=r"dataset.bins=1 with dataset.task=ordinal"):
        tiny("dataset.bins=1", "dataset.task=ordinal")


def test_the_task_is_part_of_a_runs_name_unless_it_is_the_old_one() -> None:
    assert run_path(tiny()) == run_path(tiny("dataset.task=classification", "dataset.bins=null"))
    assert len({run_path(tiny(*more)) for more in ([], ["dataset.task=ordinal"])}) == 2


def test_patterns_name_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ["llm_a", "llm_b", "human_a", "s*_x", "score"]
    frame = pd.DataFrame(rng.normal(size=(20, 5)).round(3), columns=names)
    frame["score"] = np.arange(20) % 4
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.iloc[:6].assign(llm_c=1.0).to_csv(tmp_path / "b.csv", index=False)
    source = load(config(train=tmp_path / "a.csv", input=["llm_*", "s*_x"], label="score", task="ordinal"))
    assert source.columns == ("llm_a", "llm_b", "s*_x")  # a name that is there is no pattern; the label is never meant
    both = config(train=tmp_path / "a.csv", test=tmp_path / "b.csv", input=["llm_*"], label="score")
    assert load(both).columns == ("llm_a", "llm_b")
    with pytest.raises(UserError, match="has no 'gpt_"):
        load(config(train=tmp_path / "a.csv", input=["gpt_*", "llm_*"], label="score"))


def test_an_ordinal_run_writes_its_errors(here: Path) -> None:
    folder = execute(prepare(tiny("dataset.task=ordinal", "budget.phases=[{labels: 1, cycles: 2}]")), Quiet()).folder
    summary = json.loads((folder / "summary.json").read_text())
    for name in ("target/nll", "mae", "rmse", "qwk", "spearman"):
        assert isinstance(summary["aulc"][name], float) and isinstance(summary["final"][name], float)
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < last["test/mae"] < 4.5 and last["test/rmse"] > last["test/mae"]
