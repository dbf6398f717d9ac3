"""What a model cannot serve, and options that make no sense, are refused before anything is encoded or written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, strategies, tiny
from typer.testing import CliRunner

from alrun import registry
from alrun.cli import app
from alrun.config import config_dir
from alrun.errors import UserError
from alrun.models.material import Material
from alrun.needs import LAST_LAYER, Need, settled
from alrun.prepare import prepare
from alrun.registry import option
from alrun.types import Savable

SCHEDULE = "strategy.schedule=[{strategy: random, until: 1}, {strategy: %s}]"
HEADLESS = "asks for a linear last layer, and this model has none"


@pytest.fixture(autouse=True)
def nothing_is_encoded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_, **__):
        raise AssertionError("work began")

    monkeypatch.setattr("alrun.run.encode", never)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["strategy=less_paper"], "strategy 'less_paper' asks for gradients of 'lora', and this model has its last"),
        (["strategy=badge_lora", "model=knn"], "strategy 'badge_lora' .* no layer to take them of"),
        (["strategy=alfamix", "model=knn"], f"strategy 'alfamix' {HEADLESS}"),
        (["strategy=dropquery", "model=knn"], f"strategy 'dropquery' {HEADLESS}"),
        (["strategy=less", "strategy.target=last_update", "model=knn"], f"strategy 'less' {HEADLESS}"),
        (["strategy=less", "strategy.update=adam"], "asks for Adam moments"),
        (["strategy=less", "strategy.trajectory=checkpoints"], "asks for checkpoints of the training"),
        (["strategy=less", "dataset.target=0"], "strategy 'less' needs a target split, and dataset.target=0"),
        (["strategy=perplexity"], "strategy 'perplexity' asks how well completions are predicted"),
        (["strategy=random", "save_models=true"], "model 'linear' cannot be kept, as save_models=true asks"),
        (["strategy=less", "strategy.draws=0"], "strategy 'less': strategy.draws=0 draws no label"),
        (["strategy=switch", SCHEDULE % "less_paper"], "strategy 'less_paper' asks for gradients of 'lora'"),
        (["strategy=switch", SCHEDULE % "{name: alfamix, cap_step: 2}"], "strategy 'alfamix': strategy.cap_step=2"),
        (["strategy=select_al", "strategy.high=alfamix", "model=knn"], f"strategy 'alfamix' {HEADLESS}"),
        (["strategy=random", "model.penalty=0"], r"model\.penalty=0.0 must be above 0"),
        (["strategy=random", "model.initial=-1"], r"model\.initial=-1.0 is below 0"),
        (["strategy=random", "model.initial=inf"], r"model\.initial=inf is no finite number"),
        (["strategy=random", "model=transformer", "model.targets=auto"], r"model\.targets=auto is no list"),
        (["strategy=random", "model=mlp", "model.hidden=0"], r"model\.hidden=0 is below 1"),
        (["strategy=random", "model=ridge"], "model 'ridge' predicts numbers"),
        (["strategy=random", "model=transformer", "model.rank=-1"], r"model\.rank=-1 is below 1"),
    ],
)
def test_refused_in_time(asked: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        prepare(tiny(*asked))
    assert caught.value.hints


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_the_command_refuses_and_writes_nothing(dry: list[str], here: Path) -> None:
    found = CliRunner().invoke(app, ["run", *dry, *TINY, "strategy=switch", SCHEDULE % "less_paper"])
    assert found.exit_code == 2 and not Path("outputs").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("strategy=badge_lora model.train=head", "gradients of 'lora', and nothing of it is trained"),
        ("strategy=badge_lora model.train=full", "gradients of 'lora', and nothing of it is trained"),
        ("strategy=badge_lora strategy.scope=last_block model.train=head", "nothing of it is trained"),
        ("strategy=random model.rank=-1", r"model\.rank=-1 is below 1"),
        ("strategy=random model.warmup=-1", r"model\.warmup=-1"),
        ("strategy=random model.loss=squared", "predicts numbers"),
    ],
)
def test_networks_are_not_loaded_for_that(changed: str, said: str, here: Path) -> None:
    Path("t.csv").write_text("text,label\n" + "".join(f"words {i},{'ab'[i % 2]}\n" for i in range(40)))
    files = ["dataset=files", "dataset.train=t.csv", "dataset.test='0.2'", "dataset.input=text", "dataset.label=label"]
    asked = [*files, "dataset.pool=null", "encoder=tfidf", "model=transformer", "model.path=./nowhere"]
    with pytest.raises(UserError, match=said):
        prepare(tiny(*asked, *changed.split()))
    prepare(tiny(*asked, "strategy=badge_lora"))  # the network itself is found missing later


def test_every_strategy_and_model_declares() -> None:
    for path in sorted((config_dir() / "strategy").glob("*.yaml")):
        function = registry.find("strategy", option("strategy", path.stem))
        settled(function.needs, registry.options("strategy", option("strategy", path.stem)))  # type: ignore[attr-defined]
    for path in sorted((config_dir() / "model").glob("*.yaml")):
        assert registry.find("model", option("model", path.stem)).offers is not None  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", strategies())
def test_what_the_shipped_models_can_serve_is_not_refused(name: str) -> None:
    prepare(tiny(f"strategy={name}"))
    prepare(tiny(f"strategy={name}", "model=mlp"))


@pytest.mark.parametrize("name", ["linear", "ridge", "mlp", "knn"])
def test_models_offer_the_last_layer_that_they_have(name: str) -> None:
    material = Material({part: torch.eye(6) for part in ("pool", "target", "test")}, 3, torch.device("cpu"))
    material = replace(material, levels=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    params, idx = option("model", name), torch.arange(6)
    model = registry.build("model", params)(material)(idx, idx % 3, np.random.default_rng(0))
    offers = registry.find("model", params).offers  # type: ignore[attr-defined]
    assert set(offers) == (set() if model.head() is None else set(LAST_LAYER))
    assert not isinstance(model, Savable)


def test_what_a_plugin_does_not_declare_is_left_to_the_run(here: Path) -> None:
    Path("mine.py").write_text(
        "from alrun.registry import model, strategy\n"
        "@strategy\n"
        "def late(view, n):\n"
        "    raise SystemExit('called')\n"
        "@strategy(needs=['head'])\n"
        "def early(view, n, *, beta: float):\n"
        "    if beta < 0:\n"
        "        from alrun.errors import UserError\n"
        "        raise UserError('beta is negative', 'above 0')\n"
        "    raise SystemExit(view.labels)\n"
        "@model\n"
        "def unknown(material, *, penalty: float, initial: float):\n"
        "    raise SystemExit(material)\n"
    )
    prepare(tiny("plugins=[mine.py]", "strategy={name: late}", "model={name: unknown}"))
    early = ["plugins=[mine.py]", "strategy.name=early"]
    prepare(tiny(*early, "+strategy.beta=1"))
    prepare(tiny(*early, "+strategy.beta=1", "model={name: unknown}"))
    with pytest.raises(UserError, match="strategy 'early': beta is negative"):
        prepare(tiny(*early, "+strategy.beta=-1"))
    with pytest.raises(UserError, match=f"strategy 'early' {HEADLESS}"):
        prepare(tiny(*early, "+strategy.beta=1", "model=knn"))


def test_needs_of_less_follow_its_options() -> None:
    def needs(**changed: object) -> set[Need]:
        params = option("strategy", "less") | changed
        return set(settled(registry.find("strategy", params).needs, registry.options("strategy", params)))  # type: ignore[attr-defined]

    assert needs() == {Need.target, Need.answers}
    assert needs(target="labelled_mean") == {Need.answers}
    assert needs(target="last_update") == {Need.answers, Need.head}
    assert needs(scope="lora") == {Need.target, Need.gradients_lora}
    assert needs(update="adam") == {Need.target, Need.gradients_head, Need.adam}
    assert needs(trajectory="checkpoints") == {Need.target, Need.gradients_head, Need.checkpoints}
    assert needs(scope="all", label="fisher") == {Need.target, Need.gradients_all, Need.shares}
    assert needs(scope="all", label="fisher", normalise="cosine") == {Need.target, Need.gradients_all}
    several = {"scope": "all", "label": "sampled", "draws": 2}
    assert needs(**several) == {Need.target, Need.gradients_all, Need.shares}
    assert needs(**several, average="scores") == {Need.target, Need.gradients_all}
    assert Need.shares in needs(**several, average="scores", selection="mmr")
