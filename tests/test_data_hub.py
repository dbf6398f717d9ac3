"""Hub datasets without a network: a stand-in for `datasets`, and a local folder with the real package."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from alrun.config import DatasetConfig, config_dir, option
from alrun.data import load
from alrun.data.load import _load
from alrun.errors import UserError


class Image:
    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class Table:
    """As much of datasets.Dataset as is used."""

    def __init__(self, frame: pd.DataFrame, features: dict) -> None:
        self.frame, self.features = frame, features

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, row: int) -> dict:
        return self.frame.iloc[row].to_dict()

    def select_columns(self, columns: list[str]) -> "Table":
        return Table(self.frame[columns], {c: self.features[c] for c in columns})

    def cast_column(self, column: str, feature: Image) -> "Table":
        assert not feature.decode
        return self

    def to_pandas(self) -> pd.DataFrame:
        return self.frame


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    """A `datasets` package whose load_dataset serves what a test puts into `hub.splits`."""
    module = ModuleType("datasets")
    module.__spec__ = importlib.machinery.ModuleSpec("datasets", None)
    module.__version__ = "4.4.0"
    module.Image = Image
    module.splits = {}
    module.asked = []

    def load_dataset(path, name=None, split=None, revision=None):
        module.asked.append((path, name, split, revision))
        if split not in module.splits:
            raise ConnectionError(f"Couldn't reach {path!r} on the Hub\nand more lines")
        return module.splits[split]

    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    _load.cache_clear()
    return module


def texts(n: int, names: list[str] | None = None, prefix: str = "t") -> Table:
    frame = pd.DataFrame({"text": [f"{prefix}{i}" for i in range(n)], "label": np.arange(n) % 3})
    return Table(frame, {"text": SimpleNamespace(), "label": SimpleNamespace(names=names)})


def test_splits_and_class_names(hub) -> None:
    hub.splits = {"train": texts(30, ["z", "y", "x"]), "test": texts(9, ["z", "y", "x"], "other")}
    cfg = DatasetConfig(
        name="mine",
        method="hub",
        path="me/mine",
        config="plus",
        revision="abc",
        train="train",
        test="test",
        input="text",
        label="label",
    )
    source = load(cfg)
    assert source.classes == ("z", "y", "x") and source.kind == "text"  # in the dataset's own order
    assert source.items[30] == "other0" and source.test.tolist() == list(range(30, 39))
    assert hub.asked == [("me/mine", "plus", "train", "abc"), ("me/mine", "plus", "test", "abc")]


def test_a_share_instead_of_a_split(hub) -> None:
    hub.splits = {"train": texts(30)}
    source = load(
        DatasetConfig(name="mine", method="hub", path="m", train="train", test="0.2", input="text", label="label")
    )
    assert source.classes == ("0", "1", "2") and len(source.test) == 6


def test_images_stay_encoded_until_asked(hub, tmp_path: Path) -> None:
    import io

    from PIL import Image as Picture

    def png(n: int) -> bytes:
        file = io.BytesIO()
        Picture.fromarray(np.full((4, 5, 3), n, np.uint8)).save(file, "png")
        return file.getvalue()

    def table(first: int, n: int) -> Table:
        frame = pd.DataFrame(
            {"img": [{"bytes": png(first + i), "path": None} for i in range(n)], "label": np.arange(n) % 2}
        )
        return Table(frame, {"img": Image(), "label": SimpleNamespace(names=["cat", "dog"])})

    hub.splits = {"train": table(0, 10), "test": table(100, 4)}
    source = load(
        DatasetConfig(name="mine", method="hub", path="m", train="train", test="test", input="img", label="label")
    )
    assert source.kind == "image" and len(source.items) == 14
    assert source.items[3].shape == (4, 5, 3) and source.items[12][0, 0, 0] == 102
    assert source.warnings == ()


def test_without_a_network_the_way_out_is_shown(hub) -> None:
    with pytest.raises(
        UserError, match="split 'train' of 'fancyzhx/ag_news' could not be loaded: Couldn't reach"
    ) as caught:
        load(DatasetConfig(**option("dataset", "ag_news")))
    assert "\n" not in caught.value.message
    assert any("dataset=digits always works" in hint for hint in caught.value.hints)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _load.cache_clear()
    with pytest.raises(UserError, match="needs the package datasets") as caught:
        load(DatasetConfig(**option("dataset", "trec")))
    assert caught.value.hints[0] == "pip install 'alrun[hub]'"


def test_versions_that_run_scripts_are_refused(hub) -> None:
    hub.__version__ = "3.6.0"
    with pytest.raises(UserError, match=r"datasets 3\.6\.0 can run code"):
        load(DatasetConfig(**option("dataset", "imdb")))
    assert hub.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": None}, r"needs dataset\.path"),
        ({"label": "lable"}, "no 'lable' for dataset.label"),
        ({"input": "txt"}, "no 'txt' for dataset.input"),
        ({"input": "label"}, "both 'label'"),
        ({"test": "1.5"}, "1.5 is not a share"),
        ({"test_input": "x"}, "is for NPZ files"),
    ],
)
def test_bad_options(hub, options: dict, message: str) -> None:
    hub.splits = {"train": texts(30)}
    base = {
        "name": "mine",
        "method": "hub",
        "path": "m",
        "train": "train",
        "test": None,
        "input": "text",
        "label": "label",
    }
    with pytest.raises(UserError, match=message) as caught:
        load(DatasetConfig(**{**base, **options}))
    assert caught.value.hints


HUB = sorted(
    path.stem
    for path in (config_dir() / "dataset").glob("*.yaml")
    if option("dataset", path.stem).get("method") == "hub"
)


def test_the_promised_hub_datasets_are_there() -> None:
    promised = (
        "ag_news trec banking77 clinc_oos sst2 sst5 dbpedia_14 imdb 20newsgroups cifar10 cifar100 tiny-imagenet food101"
    )
    assert set(promised.split()) <= set(HUB)


@pytest.mark.parametrize("name", HUB)
def test_hub_yamls_are_complete(name: str) -> None:
    cfg = DatasetConfig(**option("dataset", name))
    assert cfg.train and cfg.input and cfg.label and (cfg.path or name == "hub")


def test_a_local_folder_with_the_real_package(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    frame = texts(30).frame
    frame.to_parquet(tmp_path / "train.parquet")
    frame.assign(text=[f"other{i}" for i in range(30)]).to_parquet(tmp_path / "test.parquet")
    (tmp_path / "mine.py").write_text("raise SystemExit('a script was run')")
    source = load(
        DatasetConfig(
            name="mine", method="hub", path=str(tmp_path), train="train", test="test", input="text", label="label"
        )
    )
    assert len(source) == 60 and source.items[30] == "other0"
