"""Networks on this machine: whether their files are whole, and that nothing made up takes a missing one's place."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_nets
import torch
from safetensors.torch import load_file, save_file

from alrun.errors import UserError
from alrun.models import footprint
from alrun.pictures import coloured, load_vision
from alrun.pretrained import FILES, Dtype, Pooling, digest, load, pool, snapshot
from alrun.sound import WEIGHTS, demand_numbers, demand_words, lacking

REST = ("config.json", "tokenizer.json", "tokenizer_config.json")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_nets.bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def bert(kept: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(kept, tmp_path / "bert")


def read(folder: Path):
    return load(folder, "AutoTokenizer", Dtype.float32, "cpu")


def renamed(folder: Path, new) -> None:
    """The weights under new names; those of no name are gone."""
    held = {new(name): value for name, value in load_file(folder / WEIGHTS).items()}
    save_file({name: value for name, value in held.items() if name}, folder / WEIGHTS, {"format": "pt"})


# -- pictures


@pytest.mark.parametrize("make", [tiny_nets.vit, tiny_nets.resnet])
def test_flat_pictures_are_read_as_they_are(make, tmp_path: Path) -> None:
    """1, 3 or 4 rows or columns look like colours to a processor that has to guess."""
    reader, _ = load_vision(make(tmp_path), Dtype.float32, "cpu")
    colour = np.array([10, 120, 250], np.uint8)
    big = reader([np.tile(colour, (32, 32, 1))])
    for shape in ((1, 1), (1, 40), (3, 3), (3, 9), (4, 40), (40, 4), (40, 1)):
        torch.testing.assert_close(reader([np.tile(colour, (*shape, 1))])[:, :, :4, :4], big[:, :, :4, :4], msg=str)
        assert reader([coloured(np.full(shape, 7, np.uint8))]).shape == big.shape


# -- what the hub's cache holds


def test_what_a_folder_lacks(bert: Path) -> None:
    assert lacking(bert) is None
    (bert / WEIGHTS).rename(bert / "model-00001-of-00002.safetensors")
    assert lacking(bert).startswith("model.safetensors (other formats can run code")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    for cut in ("", "{", "{}", "[]", '{"weight_map": 5}'):
        (bert / f"{WEIGHTS}.index.json").write_text(cut)
        assert lacking(bert) == f"{WEIGHTS}.index.json"
    (bert / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": shards}))
    assert lacking(bert) == "model-00002-of-00002.safetensors"
    (bert / "model-00002-of-00002.safetensors").touch()
    assert lacking(bert) is None
    for name in REST[1:]:
        (bert / name).unlink()
    assert lacking(bert) == "a tokenizer or an image processor"
    (bert / "preprocessor_config.json").touch()
    assert lacking(bert) is None
    (bert / "config.json").unlink()
    assert lacking(bert) == "config.json"


@pytest.mark.parametrize("gone", [(WEIGHTS,), ("config.json",), REST[1:]])
def test_the_rest_of_a_partial_download_is_fetched(gone, bert: Path, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    import huggingface_hub

    aside, asked = tmp_path / "aside", []
    aside.mkdir()
    for name in gone:
        (bert / name).rename(aside / name)

    def fetch(path: str, *, local_files_only: bool, **more) -> str:
        asked.append(local_files_only)
        for name in () if local_files_only else gone:
            shutil.copy(aside / name, bert / name)
        return str(bert)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert snapshot("me/mine", None, "") == bert and asked == [True, False]
    assert snapshot("me/mine", None, "") == bert and asked == [True, False, True]


def test_half_a_download_without_a_network(bert: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub's own library gives what it has; the message must not speak of formats."""
    import huggingface_hub.constants

    (bert / WEIGHTS).unlink()
    there = tmp_path / "models--me--mine"
    shutil.copytree(bert, there / "snapshots" / ("a" * 40))
    (there / "refs").mkdir()
    (there / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"'me/mine' could not be fetched .* HF_HUB_OFFLINE forbids") as caught:
        snapshot("me/mine", None, "a way out")
    assert caught.value.hints[0] == "a way out" and "alrun cache" in caught.value.hints[1]
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *given, **more: str(bert))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match=r"'me/mine' could not be fetched .* lacks model.safetensors \(other formats"):
        snapshot("me/mine", None, "a way out")


def test_a_chat_template_is_fetched_with_the_model() -> None:
    from huggingface_hub.utils import filter_repo_objects

    asked = ["chat_template.jinja", "model.safetensors", "modeling_x.py", "pytorch_model.bin", "1_Pooling/config.json"]
    assert list(filter_repo_objects(asked, allow_patterns=FILES, ignore_patterns=["*/*"])) == asked[:2]


# -- what the numbers depend on


@pytest.mark.parametrize(
    "name",
    [
        *(WEIGHTS, "model.safetensors.index.json", "config.json", "tokenizer.json", "tokenizer_config.json"),
        *("special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model"),
        *("chat_template.jinja", "chat_template.json", "preprocessor_config.json", "processor_config.json"),
    ],
)
def test_every_file_that_matters_is_in_the_digest(name: str, bert: Path) -> None:
    before = digest(bert)
    with (bert / name).open("ab") as file:
        file.write(b" ")
    assert digest(bert) != before and name in digest(bert)


def test_other_files_are_not_in_the_digest(bert: Path) -> None:
    before = digest(bert)
    for name in ("README.md", "training_args.bin", "trainer_state.json", "notes.txt"):
        (bert / name).write_text("x")
    assert digest(bert) == before


# -- nothing made up


def test_weights_under_wrong_names_are_refused(bert: Path) -> None:
    renamed(bert, lambda name: f"wrong.{name}")
    with pytest.raises(UserError, match=r"are not whole: embeddings.word_embeddings.weight and 38 more are missing"):
        tiny_nets.learner(tiny_nets.texts()[0], bert)


@pytest.mark.parametrize("train", ["head", "lora", "full"])
def test_a_missing_layer_is_refused_however_it_is_trained(train: str, bert: Path) -> None:
    renamed(bert, lambda name: "" if ".layer.1.attention.self.query" in name else name)
    with pytest.raises(UserError, match=r"not whole: encoder.layer.1.attention.self.query.weight and 1 more"):
        tiny_nets.learner(tiny_nets.texts()[0], bert, train=train)


def test_a_missing_buffer_is_refused(tmp_path: Path) -> None:
    folder = tiny_nets.resnet(tmp_path)
    renamed(folder, lambda name: "" if "running_var" in name else name)
    pictures = {part: np.zeros((4, 8, 8, 3), np.uint8) for part in ("pool", "target", "test")}
    with pytest.raises(UserError, match=r"not whole: \S*running_var and \d+ more are missing"):
        tiny_nets.learner(tiny_nets.material(pictures, "image", 2), folder)


def test_a_pooler_that_nobody_reads_may_be_missing(bert: Path) -> None:
    """As in networks that were trained to fill in words."""
    renamed(bert, lambda name: "" if "pooler" in name else name)
    mat, labels = tiny_nets.texts()
    learn = tiny_nets.learner(mat, bert, train="full")
    model = learn(torch.arange(8), labels[:8], np.random.default_rng(0))
    assert model.outputs("test", torch.arange(12)).logits.isfinite().all()
    with pytest.raises(UserError, match=r"not whole: pooler.dense.weight and 1 more"):
        tiny_nets.learner(mat, bert, pooling="pooler")


def test_what_comes_out_decides(bert: Path) -> None:
    renamed(bert, lambda name: "" if "pooler" in name else name)
    tokenizer, network = read(bert)
    out = network(**tokenizer(["aa bb"], return_tensors="pt"))
    demand_numbers("x", network, pool(out, None, Pooling.mean))
    with pytest.raises(UserError, match="the weights in 'x' are not whole"):
        demand_numbers("x", network, pool(out, None, Pooling.pooler))


def test_a_tokenizer_without_words_is_refused(bert: Path, tmp_path: Path) -> None:
    for name in REST[1:]:
        (bert / name).unlink()
    with pytest.raises(UserError, match=r"has no tokenizer: there is no tokenizer.json and no vocab.txt"):
        read(bert)
    (bert / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tiny_nets.WORDS]))
    assert read(bert)[0]("aa")["input_ids"] == [2, 5, 3]
    load(tiny_nets.vit(tmp_path / "vit"), "AutoImageProcessor", Dtype.float32, "cpu")  # it reads no words


def test_which_files_hold_words(tmp_path: Path) -> None:
    """Of bytes and characters none, as ByT5 and CANINE say; merges alone are none."""
    demand_words(tmp_path, SimpleNamespace(vocab_files_names={}))
    gpt = SimpleNamespace(vocab_files_names={"vocab_file": "vocab.json", "merges_file": "merges.txt"})
    (tmp_path / "merges.txt").touch()
    with pytest.raises(UserError, match=r"no tokenizer.json and no vocab.json"):
        demand_words(tmp_path, gpt)
    (tmp_path / "tokenizer.json").touch()
    demand_words(tmp_path, gpt)
    (tmp_path / "tokenizer.json").rename(tmp_path / "spiece.model")
    demand_words(tmp_path, SimpleNamespace(vocab_files_names={"vocab_file": "tokenizer.model"}))


def test_an_adapter_beside_the_weights_is_refused(bert: Path) -> None:
    (bert / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"has an adapter in it \(adapter_config.json\)") as caught:
        tiny_nets.learner(tiny_nets.texts()[0], bert)
    assert "merge_and_unload" in caught.value.hints[1]


@pytest.mark.parametrize("broken", [b"\x80\x04\x95pickle of some kind", b"", None])
def test_broken_weights_name_the_model(broken: bytes | None, bert: Path) -> None:
    weights = bert / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-9] if broken is None else broken)
    with pytest.raises(UserError, match=r"the model in '\S*bert' cannot be loaded"):
        read(bert)
    with pytest.raises(UserError, match=r"the model in '\S*bert' cannot be loaded"):
        footprint._numbers(bert)


@pytest.mark.parametrize("text", [None, "{x"])
def test_a_broken_config_names_the_model(text: str | None, bert: Path) -> None:
    (bert / "config.json").unlink() if text is None else (bert / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"the model in '\S*bert' cannot be loaded"):
        footprint.activations(bert, 2, 8)
