"""A language model with adapters: what it is trained on, what it says, and that cycles leave nothing behind."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_nets
import torch
from tiny_lm import POOL, TASK, learner, material, params, tiny_lm

from alrun.errors import UserError
from alrun.exchange import Exchange
from alrun.models.causal_lm import opened
from alrun.models.footprint import language_memory
from alrun.models.speech import Reader, Template, collated, gathered, labels
from alrun.numerics.completion import IGNORED, completion_loss, dense_completion_loss
from alrun.types import Batch, LanguageModel, Savable, Scope

EVERY = torch.arange(len(POOL))
ZEROS = torch.zeros(len(POOL), dtype=torch.int64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm"))


def opened_network(folder: Path) -> torch.nn.Module:
    return learner(folder)(EVERY[:0], ZEROS[:0], rng()).network().module


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def reader(folder: Path, limit: int = 24, template: Template = Template.auto) -> Reader:
    from transformers import AutoTokenizer

    return Reader(AutoTokenizer.from_pretrained(folder), template, limit)


def test_prompt_and_completion_are_tokenised_apart_and_end(folder: Path, tmp_path: Path) -> None:
    plain = reader(folder)
    row = plain.row(POOL[0], POOL[0].options)
    words = plain.tokenizer.convert_ids_to_tokens
    assert words(row.tokens) == ["tell", "me", "a", "good", "day", "the", "day", "was", "good"]
    assert words(row.token) == ["the", "day", "was", "good", "<end>"]
    assert row.at.tolist() == [-5, -4, -3, -2, -1], "the last token of the prompt predicts the first of the completion"
    chat = reader(tiny_lm(tmp_path, chat=True))
    assert words(chat.row(POOL[2], POOL[2].options).tokens) == ["<u>", "a", "film", "?", "<a>", "yes"]
    without = reader(tmp_path, template=Template.plain)
    assert words(without.row(POOL[2], POOL[2].options).tokens) == ["a", "film", "?", "yes"]


@pytest.mark.parametrize("limit", [2, 3, 5, 8, 24])
def test_something_of_both_is_left_of_long_rows(folder: Path, limit: int) -> None:
    item = Exchange(" ".join(["tell"] * 40), (" ".join(["yes"] * 40), "no"))
    for options in (item.options, item.options[:1], item.options[1:]):
        row = reader(folder, limit).row(item, options)
        assert max(row.position) + 1 <= limit and 0 in row.segment
        assert sorted(set(row.option)) == list(range(len(options)))
    model = learner(folder, material(pool=[item._replace(options=item.options[:1])] * 8), max_length=limit)
    trained = model(EVERY[:4], ZEROS[:4], rng())
    assert np.isfinite(trained.loss)
    assert torch.isfinite(trained.outputs("pool", EVERY).embeddings).all()


def test_the_loss_is_over_the_completion_alone(folder: Path) -> None:
    """Against the model run on one row at a time without a mask, and against the loss that the golden vectors fix."""
    model = learner(folder)(EVERY[:0], ZEROS[:0], rng())
    network = model.network()
    ours = torch.zeros(len(POOL))
    for batch in network.batches("pool", EVERY, ZEROS):
        ours[batch.at] = network.losses(network.parameters(Scope.lora), batch)
    plain = reader(folder)
    for n, item in enumerate(POOL):
        head, said = plain.prompt(item.prompt), plain.completion(item.options[0])
        ids = torch.tensor([head + said])
        targets = torch.tensor([[IGNORED] * len(head) + said])
        with torch.no_grad():
            said_alone = torch.func.functional_call(network.module, network.parameters(Scope.all), (ids,))
            expected = completion_loss(said_alone.logits, targets)
        assert expected.tokens.tolist() == [len(said)]
        torch.testing.assert_close(ours[n], expected.mean[0], rtol=1e-5, atol=1e-6)
    said = model.completions("pool", EVERY, ZEROS)
    torch.testing.assert_close(said.nll, ours, rtol=1e-5, atol=1e-6)


def test_dense_loss_is_the_loss() -> None:
    torch.manual_seed(0)
    logits, wanted = torch.randn(3, 6, 11), torch.randint(0, 11, (3, 6))
    wanted[0, :4] = IGNORED
    wanted[2] = IGNORED
    shifted = torch.cat([torch.full((3, 1), IGNORED), wanted], dim=1)
    torch.testing.assert_close(dense_completion_loss(logits, wanted), completion_loss(logits, shifted).mean)


def test_options_side_by_side_are_what_they_are_alone(folder: Path) -> None:
    given = material(test=[Exchange("a film ?", ("yes", "no no no", "the good day")), *TASK[:2]], n_classes=3)
    model = learner(folder, given)(EVERY[:4], ZEROS[:4], rng())
    logits = model.outputs("test", torch.arange(3)).logits  # (3, C)
    assert (logits[1:, 2] == -1e4).all(), "two options have no third"
    for option in range(3):
        said = model.network()
        batch = next(iter(said.batches("test", torch.tensor([0]), torch.tensor([option]))))
        loss = said.losses(said.parameters(Scope.lora), batch)[0]
        torch.testing.assert_close(-logits[0, option], loss * (batch.labels[0] != IGNORED).sum(), rtol=1e-5, atol=1e-5)
        found = model.completions("test", torch.tensor([0]), torch.tensor([option]))
        torch.testing.assert_close(found.nll[0], loss, rtol=1e-5, atol=1e-6)
    mean = learner(folder, given, scoring="mean")(EVERY[:4], ZEROS[:4], rng()).outputs("test", torch.arange(1)).logits
    torch.testing.assert_close(mean[0], logits[0] / torch.tensor([2.0, 4.0, 4.0]), rtol=1e-5, atol=1e-5)


def test_every_cycle_starts_afresh_and_the_base_stays(folder: Path) -> None:
    learn = learner(folder)
    first = learn(EVERY[:3], ZEROS[:3], rng(1))
    module = first.network().module
    frozen = {name: p.clone() for name, p in module.named_parameters() if "lora_" not in name}
    second = learn(EVERY[:6], ZEROS[:6], rng(2))
    alone = learner(folder)(EVERY[:6], ZEROS[:6], rng(2))
    for name, value in second.network().parameters(Scope.all).items():
        assert "lora_" in name
        assert torch.equal(value, alone.network().parameters(Scope.all)[name]), "the cycle before left a trace"
    assert all(torch.equal(p, frozen[name]) for name, p in module.named_parameters() if name in frozen)
    again = learner(folder)(EVERY[:3], ZEROS[:3], rng(1)).outputs("test", torch.arange(4))
    assert torch.equal(first.outputs("test", torch.arange(4)).logits, again.logits), "an old model changed"


def test_training_helps_and_nothing_trained_is_the_base(folder: Path) -> None:
    learn = learner(folder, min_steps=60)
    base, trained = learn(EVERY[:0], ZEROS[:0], rng()), learn(EVERY, ZEROS, rng())
    assert np.isnan(base.loss) and base.notes == {"steps": 0.0} and base.network().moments() is None
    before, after = (model.completions("pool", EVERY, ZEROS).nll.mean() for model in (base, trained))
    assert after < before - 0.5 and abs(trained.loss - float(after)) < 0.5


def test_what_gradients_need(folder: Path) -> None:
    model = learner(folder)(EVERY[:5], ZEROS[:5], rng())
    assert isinstance(model, LanguageModel) and model.head() is None
    network = model.network()
    path = network.checkpoints()
    assert [point.moments().step for _, point in path] == [2, 4]
    assert path[0][0] > path[1][0] > 0
    parameters = network.parameters(Scope.lora)
    assert all(torch.equal(value, parameters[name]) for name, value in path[1][1].parameters(Scope.all).items())
    assert not all(torch.equal(value, parameters[name]) for name, value in path[0][1].parameters(Scope.all).items())
    last = network.parameters(Scope.last_block)
    assert 0 < len(last) < len(parameters) and all(".layers.1." in name for name in last)
    with pytest.raises(UserError, match="trains its adapters alone"):
        network.parameters(Scope.head)
    torch.manual_seed(0)
    direction = {name: torch.randn_like(value) for name, value in parameters.items()}
    for batch in network.batches("pool", EVERY, ZEROS):
        _, along = torch.func.jvp(lambda p, b=batch: network.losses(p, b), (parameters,), (direction,))

        def one(p, inputs, wanted):
            single = Batch(ZEROS[:1], {name: value[None] for name, value in inputs.items()}, wanted[None])
            return network.losses(p, single)[0]

        each = torch.func.vmap(torch.func.grad(one), in_dims=(None, 0, 0))(parameters, batch.inputs, batch.labels)
        dots = sum((each[name] * direction[name]).flatten(1).sum(1) for name in parameters)
        torch.testing.assert_close(along, dots, rtol=1e-4, atol=1e-5)


def test_a_known_completion_is_what_it_is_under_any_label(folder: Path) -> None:
    network = learner(folder)(EVERY[:5], ZEROS[:5], rng()).network()
    zero, one = (list(network.batches("pool", EVERY, ZEROS + k)) for k in (0, 1))
    assert all(torch.equal(a.labels, b.labels) for a, b in zip(zero, one, strict=True))
    asked = [next(iter(network.batches("target", torch.tensor([0]), torch.tensor([k])))).labels for k in (0, 1)]
    assert not torch.equal(*asked)


def test_gradient_checkpointing_and_half_precision(folder: Path) -> None:
    plain = learner(folder)(EVERY[:5], ZEROS[:5], rng()).network().parameters(Scope.all)
    saved = learner(folder, gradient_checkpointing=True)(EVERY[:5], ZEROS[:5], rng()).network().parameters(Scope.all)
    for name, value in plain.items():
        torch.testing.assert_close(value, saved[name])
    half = learner(folder, precision="bfloat16")(EVERY[:5], ZEROS[:5], rng())
    assert next(iter(half.network().parameters(Scope.all).values())).dtype == torch.float32
    assert half.network().module.get_input_embeddings().weight.dtype == torch.bfloat16
    assert np.isfinite(half.loss)


def test_peft_reads_what_is_kept(folder: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = learner(folder, dropout=0.2)(EVERY, ZEROS, rng())
    assert isinstance(model, Savable)
    for name, content in model.files().items():
        (tmp_path / name).write_bytes(content)
    about = json.loads((tmp_path / "adapter_config.json").read_text())
    assert about["base_model_name_or_path"] == str(folder) and about["task_type"] == "CAUSAL_LM" and about["r"] == 2
    base = AutoModelForCausalLM.from_pretrained(about["base_model_name_or_path"]).eval()
    ids = torch.tensor([reader(folder).prompt(POOL[1].prompt) + reader(folder).completion("one two three")])
    network = model.network()
    with torch.inference_mode():
        before = base(ids).logits
        loaded = PeftModel.from_pretrained(base, tmp_path).eval()(ids).logits
        expected = torch.func.functional_call(network.module, network.parameters(Scope.all), (ids,)).logits
    torch.testing.assert_close(loaded, expected)
    assert (loaded - before).abs().max() > 0.1


def test_padding_changes_nothing(folder: Path) -> None:
    said = reader(folder)
    rows = [said.row(item, item.options) for item in POOL]
    inputs = collated(rows, torch.float32, torch.device("cpu"))
    assert inputs["input_ids"].shape == (8, max(len(row.tokens) for row in rows))
    assert (inputs["position_ids"][:, -1] == torch.tensor([len(row.tokens) - 1 for row in rows])).all()
    assert labels(rows, torch.device("cpu")).shape[1] == 6
    assert len(gathered(rows, torch.device("cpu"))["row"]) == sum(len(row.token) for row in rows)


def test_mistakes(folder: Path, tmp_path: Path) -> None:
    texts = material()
    with pytest.raises(UserError, match="reads prompts and completions, and this dataset has text items"):
        learner(folder, type(texts)(texts.features, 2, texts.device, texts.items, kind="text"))
    with pytest.raises(UserError, match="this dataset has prompts with completions"):
        tiny_nets.learner(texts, folder)
    with pytest.raises(UserError, match=r"rank=0 is below 1"):
        learner(folder, rank=0)
    with pytest.raises(UserError, match=r"max_length=1 is below 2"):
        learner(folder, max_length=1)
    with pytest.raises(UserError, match=r"checkpoints=9 are more than the model.min_steps=4"):
        learner(folder, checkpoints=9)
    with pytest.raises(UserError, match="max_length=65 is more than the 64 tokens"):
        learner(folder, max_length=65)
    with pytest.raises(UserError, match="no layer's name ends in wrong"):
        learner(folder, targets=["wrong"])
    with pytest.raises(UserError, match="no file"):
        learner(tmp_path / "none.gguf")


def test_a_pickle_in_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    import pickle

    class Planted:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    bad = tmp_path / "bad"
    shutil.copytree(folder, bad)
    (bad / "model.safetensors").unlink()
    (bad / "pytorch_model.bin").write_bytes(pickle.dumps(Planted()))
    with pytest.raises(UserError, match="no weights in the safetensors format"):
        learner(bad)
    assert not (tmp_path / "ran").exists()


def test_missing_weights_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    bad = shutil.copytree(folder, tmp_path / "bad")
    held = load_file(bad / "model.safetensors")
    del held["model.layers.0.mlp.up_proj.weight"]
    save_file(held, bad / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"are not whole: model.layers.0.mlp.up_proj.weight is missing"):
        learner(bad)


@pytest.mark.parametrize("text", ["{% if x", "{{ raise_exception('not so') }}", "{{ messages[0].nothing.more }}"])
def test_a_chat_template_that_fails_is_refused_before_training(text: str, folder: Path, tmp_path: Path) -> None:
    bad = shutil.copytree(folder, tmp_path / "bad")
    (bad / "chat_template.jinja").write_text(text)
    with pytest.raises(UserError, match=r"the chat template in '\S*bad' cannot be used") as caught:
        learner(bad)
    assert "model.template=plain" in caught.value.hints[0]
    learner(bad, template="plain")


def test_the_log_says_how_prompts_are_put(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "alrun"):
        for one, more in ((folder, {}), (tiny_lm(tmp_path, chat=True), {}), (tmp_path, {"template": "plain"})):
            learner(one, **more)
    assert [line.split()[3] for line in caplog.messages] == ["plainly:", "by", "plainly:"]


def test_memory_is_announced(folder: Path) -> None:
    asked = params(folder)
    found = {
        more: language_memory("instruction", {**asked, **dict([more])})
        for more in (("batch", 4), ("batch", 8), ("precision", "bfloat16"), ("gradient_checkpointing", True))
    }
    weights = 4 * sum(p.numel() for n, p in opened_network(folder).named_parameters() if "lora_" not in n)
    whole, double, half, less = (value - weights for value in found.values())
    assert double == pytest.approx(2 * whole, rel=0.01) and half == whole - weights // 2 and 0 < less < whole


def test_one_base_is_loaded_once(folder: Path) -> None:
    opened.cache_clear()
    for _ in range(3):
        learner(folder)
    assert opened.cache_info().misses == 1
    assert set(params(folder)) >= {"template", "scoring"}
