"""The user's own files: what is read, and what is refused in which words."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alrun.config import DatasetConfig
from alrun.data import load
from alrun.errors import UserError


def config(**options) -> DatasetConfig:
    return DatasetConfig(
        name="mine", method="files", **{k: str(v) if k in ("train", "test") else v for k, v in options.items()}
    )


def text_frame(n: int = 20) -> pd.DataFrame:
    return pd.DataFrame({"text": [f"text number {i}" for i in range(n)], "label": ["cat", "dog"] * (n // 2)})


def number_frame(n: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(size=n), "b": rng.integers(0, 9, n), "name": "x", "y": [1, 0] * (n // 2)})


def test_csv_of_texts(tmp_path: Path) -> None:
    frame = text_frame()
    frame.loc[3, "text"] = "NA"
    frame.loc[4, "text"] = "None"
    frame.to_csv(tmp_path / "a.csv", index=False)
    source = load(config(train=tmp_path / "a.csv", input="text", label="label"))
    assert source.kind == "text" and source.classes == ("cat", "dog")
    assert source.items == frame["text"].tolist()  # words that look like missing values are words
    assert source.labels.tolist() == [0, 1] * 10
    assert len(source.test) == 6 and np.bincount(source.labels[source.test]).tolist() == [3, 3]
    assert source.warnings == ()


def test_csv_of_numbers_takes_every_numeric_column_but_the_label(tmp_path: Path) -> None:
    frame = number_frame()
    frame.to_csv(tmp_path / "a.csv", index=False)
    source = load(config(train=tmp_path / "a.csv", label="y"))
    assert source.kind == "table" and source.columns == ("a", "b")
    assert source.items.dtype == np.float32
    np.testing.assert_allclose(source.items, frame[["a", "b"]], rtol=1e-6)
    assert source.labels.tolist() == [1, 0] * 10  # classes "0", "1": 0 is the first


def test_columns_of_the_test_file_are_found_by_name(tmp_path: Path) -> None:
    frame = number_frame()
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame[["y", "b", "a"]].iloc[:6].to_csv(tmp_path / "b.csv", index=False)
    source = load(config(train=tmp_path / "a.csv", test=tmp_path / "b.csv", label="y"))
    assert source.test.tolist() == list(range(20, 26))
    np.testing.assert_array_equal(source.items[20:], source.items[:6])
    assert "6 of 6 test items are also in train" in source.warnings


def test_jsonl_and_tsv_and_parquet_agree(tmp_path: Path) -> None:
    frame = text_frame()
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in frame.to_dict("records")) + "\n\n")
    found = [load(config(train=tmp_path / f"a.{s}", input="text", label="label")) for s in ("tsv", "parquet", "jsonl")]
    assert len({source.fingerprint for source in found}) == 1


def test_a_share_is_cut_stratified_and_always_the_same(tmp_path: Path) -> None:
    frame = text_frame(100)
    frame.to_csv(tmp_path / "a.csv", index=False)
    cfg = config(train=tmp_path / "a.csv", test="0.2", input="text", label="label")
    source = load(cfg)
    assert np.bincount(source.labels[source.test]).tolist() == [10, 10]
    frame.to_csv(tmp_path / "b.csv", index=False)
    cfg.train = str(tmp_path / "b.csv")
    assert load(cfg).test.tolist() == source.test.tolist()


def test_copies_stay_on_one_side_of_a_cut(tmp_path: Path) -> None:
    frame = text_frame(60)
    frame["text"] = [f"text {i // 4} {label}" for i, label in enumerate(frame["label"])]
    frame.to_csv(tmp_path / "a.csv", index=False)
    source = load(config(train=tmp_path / "a.csv", input="text", label="label"))
    inside = {source.items[row] for row in source.test}
    assert inside and not inside & {source.items[row] for row in source.train}
    assert source.warnings == ("30 items repeat another one",)


def test_relative_paths_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text_frame().to_csv(tmp_path / "a.csv", index=False)
    monkeypatch.chdir(tmp_path)
    assert len(load(config(train="a.csv", input="text", label="label"))) == 20


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    text_frame(20).to_csv(tmp_path / "a.csv", index=False)
    cfg = config(train=tmp_path / "a.csv", input="text", label="label")
    first = load(cfg)
    assert load(cfg) is first
    text_frame(40).to_csv(tmp_path / "a.csv", index=False)
    assert len(load(cfg)) == 40


def pictures(folder: Path, n: int = 12, size: int = 8) -> list[Path]:
    from PIL import Image

    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(n)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(path)
    return paths


def test_images_by_path_bytes_and_hugging_face_layout(tmp_path: Path) -> None:
    from PIL import Image

    paths = pictures(tmp_path)
    labels = ["a", "b", "c"] * 4
    tables = {
        "path.csv": [path.name for path in paths],
        "bytes.parquet": [path.read_bytes() for path in paths],
        "both.parquet": [{"bytes": path.read_bytes(), "path": path.name} for path in paths],
        "name.parquet": [{"bytes": None, "path": path.name} for path in paths],
    }
    marks = set()
    for name, values in tables.items():
        frame = pd.DataFrame({"image": values, "label": labels})
        frame.to_csv(tmp_path / name) if name.endswith("csv") else frame.to_parquet(tmp_path / name)
        source = load(config(train=tmp_path / name, input="image", label="label"))
        assert source.kind == "image" and len(source.items) == 12
        np.testing.assert_array_equal(source.items[5], np.asarray(Image.open(paths[5])))
        marks.add(source.fingerprint)
    assert len(marks) == 1


def test_a_column_of_lists_is_a_table(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    pd.DataFrame({"vector": list(rows), "label": [0, 1] * 6}).to_parquet(tmp_path / "a.parquet")
    source = load(config(train=tmp_path / "a.parquet", input="vector", label="label"))
    np.testing.assert_array_equal(source.items, rows)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.zeros((12, 4, 5), np.uint8), "image"),
        (np.zeros((12, 4, 5, 3), np.uint8), "image"),
        (np.zeros((12, 4, 5, 1), np.uint8), "image"),
        (np.zeros((12, 7), np.float16), "table"),
        (np.zeros((12, 7), np.uint8), "table"),
        (np.zeros(12, np.float64), "table"),
        (np.array(["word"] * 12), "text"),
        (np.array([b"word"] * 12), "text"),
    ],
)
def test_npz_kinds(tmp_path: Path, array: np.ndarray, kind: str) -> None:
    if array.dtype.kind in "US":
        array = np.array([f"{i}" for i in range(12)]).astype(array.dtype)
    else:
        array += np.arange(12, dtype=array.dtype).reshape(-1, *[1] * (array.ndim - 1))
    np.savez(tmp_path / "a.npz", x=array, y=np.arange(12) % 3)
    source = load(config(train=tmp_path / "a.npz", input="x", label="y"))
    assert source.kind == kind and source.classes == ("0", "1", "2")


def test_npz_splits_in_one_file_and_in_two(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 4))
    y = np.arange(30) % 3
    np.savez(tmp_path / "one.npz", x_train=x[:20], y_train=y[:20], x_test=x[20:], y_test=y[20:])
    np.savez(tmp_path / "a.npz", x=x[:20], y=y[:20])
    np.savez(tmp_path / "b.npz", x=x[20:], y=y[20:])
    one = load(
        config(train=tmp_path / "one.npz", input="x_train", label="y_train", test_input="x_test", test_label="y_test")
    )
    two = load(config(train=tmp_path / "a.npz", test=tmp_path / "b.npz", input="x", label="y"))
    assert one.fingerprint == two.fingerprint and one.test.tolist() == list(range(20, 30))


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10, 9, 2], ("2", "9", "10")),
        (["10", "9", "2"], ("2", "9", "10")),
        ([1.0, 2.0, 3.0], ("1", "2", "3")),
        ([True, False, True], ("False", "True")),
        (["b", "a", "B"], ("B", "a", "b")),
    ],
)
def test_classes_are_sorted_numbers_as_numbers(tmp_path: Path, labels: list, classes: tuple) -> None:
    frame = pd.DataFrame({"text": [f"t{i}" for i in range(30)], "y": labels * 10})
    frame.to_parquet(tmp_path / "a.parquet")
    assert load(config(train=tmp_path / "a.parquet", input="text", label="y")).classes == classes


def test_findings_are_counted(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": [f"t{i}" for i in range(20)], "y": ["a", "b"] * 9 + ["c", "c"]})
    frame.loc[[2, 5], "text"] = ["", "  "]
    frame.loc[7, "text"] = "t8"
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.iloc[[0, 1, 3]].to_csv(tmp_path / "b.csv", index=False)
    source = load(config(train=tmp_path / "a.csv", test=tmp_path / "b.csv", input="text", label="y"))
    assert source.warnings == (
        "2 empty texts, first in row 2",
        "4 items repeat another one, 1 of them with another label",
        "3 of 3 test items are also in train",
        "1 of 3 classes are not in the test split: 'c'",
    )


def test_a_column_that_counts_rows_is_noticed(tmp_path: Path) -> None:
    frame = number_frame()
    frame.insert(0, "id", range(20))
    frame.to_csv(tmp_path / "a.csv", index=False)
    source = load(config(train=tmp_path / "a.csv", label="y"))
    assert source.warnings == ("column 'id' only counts the rows: leave it out of dataset.input",)


# -- what is refused: file name, its content, options besides train, what the message must say


def csv(frame: pd.DataFrame):
    return lambda path: frame.to_csv(path, index=False)


def parquet(frame: pd.DataFrame):
    return lambda path: frame.to_parquet(path)


def npz(**arrays):
    return lambda path: np.savez(path, **arrays)


def plain(text: str | bytes):
    return lambda path: path.write_bytes(text.encode() if isinstance(text, str) else text)


def changed(frame: pd.DataFrame, **columns) -> pd.DataFrame:
    return frame.assign(**columns)


T, N = text_frame(), number_frame()
X, Y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
words = {"input": "text", "label": "label"}
keys = {"input": "x", "label": "y"}
BAD = {
    "no such file": ("gone.csv", None, words, "does not exist"),
    "a folder": (".", None, words, "is a folder"),
    "no label option": ("a.csv", csv(T), {"input": "text"}, "needs dataset.label"),
    "unknown ending": ("a.xlsx", plain("x"), words, "does not read .xlsx"),
    "no ending": ("data", plain("x"), words, "files without an ending"),
    "empty csv": ("a.csv", plain(""), words, "cannot be read"),
    "csv with a header only": ("a.csv", plain("text,label\n"), words, "no rows"),
    "ragged csv": ("a.csv", plain("text,label\na,b\nc,d,e,f\n"), words, "line 3"),
    "latin-1 csv": ("a.csv", plain("text,label\ncaf\xe9,b\n".encode("latin-1")), words, "not UTF-8"),
    "text called parquet": ("a.parquet", plain("text,label\n"), words, "a.parquet cannot be read"),
    "jsonl with a broken line": (
        "a.jsonl",
        plain('{"text": "a", "label": 1}\n{"text": \n'),
        words,
        "line 2 is not JSON",
    ),
    "jsonl of lists": ("a.jsonl", plain("[1, 2]\n"), words, "line 1 is not an object"),
    "misspelt input": ("a.csv", csv(T), {"input": "txt", "label": "label"}, "no 'txt' for dataset.input"),
    "misspelt label": ("a.csv", csv(T), {"input": "text", "label": "lable"}, "no 'lable' for dataset.label"),
    "label among the inputs": ("a.csv", csv(N), {"input": ["a", "y"], "label": "y"}, "both 'y'"),
    "label as the input": ("a.csv", csv(T), {"input": "label", "label": "label"}, "both 'label'"),
    "text asked as number": (
        "a.csv",
        csv(N),
        {"input": ["a", "name"], "label": "y"},
        "'name' of a.csv is not numeric: 'x'",
    ),
    "no numeric column": ("a.csv", csv(T), {"label": "label"}, "no numeric column"),
    "NaN in a number": ("a.csv", csv(changed(N, a=[np.nan] + [1.0] * 19)), {"label": "y"}, "first in 'a', row 0"),
    "infinite number": (
        "a.parquet",
        parquet(changed(N, b=[0.0] * 19 + [np.inf])),
        {"label": "y"},
        "first in 'b', row 19",
    ),
    "missing labels": (
        "a.csv",
        csv(changed(T, label=["x", None] * 10)),
        words,
        "10 of 20 labels .* missing, first in row 1",
    ),
    "NaN labels": ("a.parquet", parquet(changed(T, label=[np.nan, 1.0] * 10)), words, "10 of 20 labels"),
    "blank labels": (
        "a.jsonl",
        plain('{"text": "a", "label": " "}\n{"text": "b", "label": "x"}\n'),
        words,
        "1 of 2 labels",
    ),
    "one class": ("a.csv", csv(changed(T, label="x")), words, "nothing to learn"),
    "labels that are ids": ("a.csv", csv(changed(T, label=range(20))), words, "20 different labels for 20"),
    "measured labels": ("a.csv", csv(changed(T, label=[0.5, 1.25] * 10)), words, "not whole numbers"),
    "missing texts": ("a.parquet", parquet(changed(T, text=["a", None] * 10)), words, "10 of 20 values in 'text'"),
    "mixed column": (
        "a.jsonl",
        plain('{"text": "a", "label": 1}\n{"text": true, "label": 0}\n'),
        words,
        "mixes texts with bool",
    ),
    "image file that is gone": ("a.csv", csv(changed(T, text="gone.png")), words, "20 of 20 image files"),
    "dict that is no image": (
        "a.parquet",
        parquet(changed(T, text=[{"k": 1}] * 20)),
        words,
        "row 0 of 'text' .* is not an image",
    ),
    "ragged vectors": ("a.parquet", parquet(changed(T, text=[[1.0], [1.0, 2.0]] * 10)), words, "have 1 to 2 values"),
    "test is no share": ("a.csv", csv(T), {**words, "test": "1.5"}, "1.5 is not a share"),
    "test is zero": ("a.csv", csv(T), {**words, "test": "0"}, "0 is not a share"),
    "test file is gone": ("a.csv", csv(T), {**words, "test": "gone.csv"}, "dataset.test=gone.csv does not exist"),
    "hub option": ("a.csv", csv(T), {**words, "path": "x"}, "dataset.path is not used by files"),
    "array option for csv": ("a.csv", csv(T), {**words, "test_input": "x", "test_label": "y"}, "is for NPZ"),
    "npz without input": ("a.npz", npz(x=X, y=Y), {"label": "y"}, "needs dataset.input"),
    "npz list of inputs": ("a.npz", npz(x=X, y=Y), {"input": ["x"], "label": "y"}, "needs dataset.input"),
    "npz misspelt": ("a.npz", npz(x_train=X, y=Y), {"input": "x_tran", "label": "y"}, "no 'x_tran' for dataset.input"),
    "npz of objects": ("a.npz", npz(x=np.array([{}] * 20), y=Y), keys, "holds Python objects"),
    "npz object labels": ("a.npz", npz(x=X, y=np.array(["a", 1] * 10, object)), keys, "holds Python objects"),
    "npz that is none": ("a.npz", plain("nonsense"), keys, "not a readable NPZ"),
    "npz cut short": ("a.npz", plain(b"PK\x03\x04nonsense"), keys, "not a readable NPZ"),
    "npz fewer labels": ("a.npz", npz(x=X, y=Y[:19]), keys, "20 train items, 19 train labels"),
    "npz one-hot labels": ("a.npz", npz(x=X, y=np.eye(2)[Y]), keys, "shape \\(20, 2\\)"),
    "npz channels first": ("a.npz", npz(x=np.zeros((20, 3, 8, 8), np.uint8), y=Y), keys, "images are \\(n, H, W\\)"),
    "npz float images": ("a.npz", npz(x=np.zeros((20, 8, 8)), y=Y), keys, "float64"),
    "npz half a test": ("a.npz", npz(x=X, y=Y), {**keys, "test_input": "x"}, "is given alone"),
    "npz two tests": (
        "a.npz",
        npz(x=X, y=Y),
        {**keys, "test": "0.2", "test_input": "x", "test_label": "y"},
        "asks for a cut",
    ),
    "npz other width": (
        "a.npz",
        npz(x=X, y=Y, xt=X[:, :1], yt=Y),
        {**keys, "test_input": "xt", "test_label": "yt"},
        "shape \\(2,\\), test items \\(1,\\)",
    ),
    "npz unseen class": (
        "a.npz",
        npz(x=X, y=Y, xt=X, yt=Y + 1),
        {**keys, "test_input": "xt", "test_label": "yt"},
        "10 test labels .* 1 classes without train items: '2'",
    ),
}


@pytest.mark.parametrize(("name", "write", "options", "message"), BAD.values(), ids=BAD.keys())
def test_bad_files(
    tmp_path: Path, name: str, write, options: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if write is not None:
        write(tmp_path / name)
    with pytest.raises(UserError, match=message) as caught:
        load(config(train=name, **options))
    assert "\n" not in caught.value.message and caught.value.hints


def test_the_near_name_is_offered(tmp_path: Path) -> None:
    T.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(UserError) as caught:
        load(config(train=tmp_path / "a.csv", input="txet", label="label"))
    assert caught.value.hints[0] == "did you mean text?"


def test_files_of_different_kinds(tmp_path: Path) -> None:
    T.to_csv(tmp_path / "a.csv", index=False)
    changed(T, text=range(20)).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(UserError, match=r"a\.csv has text items, b\.csv has table items"):
        load(config(train=tmp_path / "a.csv", test=tmp_path / "b.csv", **words))


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    paths = pictures(tmp_path)
    paths[3].write_bytes(b"not a picture")
    pd.DataFrame({"image": [p.name for p in paths], "label": [0, 1] * 6}).to_csv(tmp_path / "a.csv", index=False)
    source = load(config(train=tmp_path / "a.csv", input="image", label="label"))
    with pytest.raises(UserError, match=r"image in row 3 .*cannot be read"):
        source.items[3]


def test_reading_a_pickled_array_runs_nothing(tmp_path: Path) -> None:
    flag = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (flag,))

    np.savez(tmp_path / "a.npz", x=np.array([Trap()] * 20, object), y=Y)
    with pytest.raises(UserError, match="they can run code"):
        load(config(train=tmp_path / "a.npz", **keys))
    assert not flag.exists()
