"""Runs with fine-tuned networks: every strategy, the same bytes after a stop, and what is kept of a model."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_nets
import torch
from tiny import contents, interrupted, kept_models, parts

import alrun.run
from alrun.config import Run, config_dir, option
from alrun.errors import UserError
from alrun.launch import cells
from alrun.loop import cycles
from alrun.plan import plans
from alrun.prepare import prepare
from alrun.reporter import Quiet
from alrun.run import execute
from alrun.rundir import RunDir

SPOKEN = {"perplexity", "mid_perplexity", "token_entropy", "less_instruct"}  # of instructions: model=causal_lm
STRATEGIES = sorted({path.stem for path in (config_dir() / "strategy").glob("*.yaml")} - SPOKEN)
QUICK = ("model.min_steps=4", "model.epochs=1", "model.batch=8", "model.max_length=16")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides of a run on 48 + 30 sentences of three classes with a tiny network."""
    folder = tmp_path_factory.mktemp("words")
    path = tiny_nets.bert(folder / "bert")
    items, labels = tiny_nets.sentences(78, 3)
    for name, rows in (("train", slice(0, 48)), ("test", slice(48, 78))):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *zip(items[rows], labels[rows].tolist(), strict=True)])
    data = [f"dataset.train={folder}/train.csv", f"dataset.test={folder}/test.csv", "dataset.target=2"]
    columns = ["dataset.input=text", "dataset.label=label"]
    model = ["model=transformer", f"model.path={path}", "model.checkpoints=2", *QUICK]
    budget = ["budget.phases=[{labels: 1, cycles: 2}]", f"runs_dir={folder}/runs"]
    return ["dataset=files", *data, *columns, "encoder=tfidf", "encoder.dimensions=8", *model, *budget]


def composed(asked: list[str], *more: str) -> Run:
    return cells([*asked, *more], multirun=False)[0].run


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_runs(strategy: str, asked: list[str]) -> None:
    found = list(cycles(*parts(prepare(composed(asked, f"strategy={strategy}")))))
    assert [cycle.metrics["n_labelled"] for cycle in found] == [0, 3, 6]
    assert [cycle.metrics["model/steps"] for cycle in found] == [0, 4, 4]


@pytest.mark.parametrize("strategy", ["badge", "less_paper", "tcm"])
def test_going_on_is_the_same_as_never_having_stopped(strategy: str, asked: list[str]) -> None:
    given = parts(prepare(composed(asked, f"strategy={strategy}")))
    whole = list(cycles(*given))
    rest = list(cycles(*given, [cycle.selection.indices for cycle in whole[:1]]))
    assert [cycle.metrics for cycle in rest] == [cycle.metrics for cycle in whole[1:]]
    assert torch.equal(rest[0].selection.indices, whole[1].selection.indices)


def test_models_are_kept_as_peft_reads_them(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    monkeypatch.setattr(alrun.run, "draw_run", lambda folder, formats: [])
    prepared = prepare(composed(asked, "save_models=true", "seed=3"))
    folder = execute(prepared, Quiet()).folder
    kept = folder / "models" / "cycle_002"
    assert sorted(path.name for path in (folder / "models").iterdir()) == [f"cycle_{k:03d}" for k in range(3)]
    base = json.loads((kept / "adapter_config.json").read_text())["base_model_name_or_path"]
    network = PeftModel.from_pretrained(AutoModel.from_pretrained(base), kept).eval()
    head = load_file(kept / "head.safetensors")
    tokenizer = AutoTokenizer.from_pretrained(base)
    *_, last = cycles(*parts(prepared))
    for at in range(4):
        text = prepared.source.items[prepared.dataset.test[at]]
        with torch.inference_mode():
            hidden = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
        logits = 10 * torch.nn.functional.normalize(hidden, dim=0) @ head["weight"].T + head["bias"]
        assert int(logits.argmax()) == last.predictions["test_prediction"][at]
        assert float(logits.softmax(0).max()) == pytest.approx(last.predictions["test_confidence"][at], abs=1e-3)

    # A kill after the second cycle: its model stays, what came after goes, and comes back the same.
    before = kept_models(folder)
    interrupted(folder, 2)
    assert RunDir(folder).repair() == 2 and not kept.exists()
    execute(prepared, Quiet())
    assert kept_models(folder) == before


def test_a_model_that_is_not_there_is_said_so(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alrun.run, "draw_run", lambda folder, formats: [])
    run = composed(asked, "seed=4")
    told: list[str] = []

    class Listening(Quiet):
        def note(self, text: str) -> None:
            told.append(text)

    folder = execute(prepare(run), Quiet()).folder
    assert not (folder / "models").exists()
    outcome = execute(prepare(replace(run, save_models=True)), Listening())
    assert outcome.reused and told == ["cycles 0, 1, 2 were committed without a saved model: --fresh trains it again"]


def test_a_model_that_was_damaged_is_said_so(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alrun.run, "draw_run", lambda folder, formats: [])
    prepared = prepare(composed(asked, "seed=5", "save_models=true"))
    told: list[str] = []

    class Listening(Quiet):
        def note(self, text: str) -> None:
            told.append(text)

    folder = execute(prepared, Quiet()).folder
    whole, record = contents(folder), (folder / "models.json").read_bytes()
    (folder / "models" / ".DS_Store").write_bytes(b"")
    assert execute(prepared, Listening()).reused and told == []
    torn = folder / "models" / "cycle_001" / "head.safetensors"
    torn.write_bytes(torn.read_bytes()[:-1])
    assert execute(prepared, Listening()).reused
    interrupted(folder, 2)
    assert not execute(prepared, Listening()).reused
    assert len(told) == 2 and all(text.startswith(f"{torn} has ") and "--fresh" in text for text in told)
    assert contents(folder) == whole and (folder / "models.json").read_bytes() == record


def swap(path: Path) -> None:
    """Other weights under the same names."""
    from safetensors.torch import load_file, save_file

    file = path / "model.safetensors"
    save_file({name: value * 0.5 for name, value in load_file(file).items()}, file, {"format": "pt"})


@pytest.mark.parametrize("part", ["model", "encoder"])
def test_other_weights_are_not_gone_on_with(
    part: str, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alrun.run, "draw_run", lambda folder, formats: [])
    path = shutil.copytree(network_of(asked), tmp_path / "network")
    words = [word for word in asked if not word.startswith(("encoder", "model.path"))]
    words += {
        "model": ["encoder=tfidf", "encoder.dimensions=8", f"model.path={path}"],
        "encoder": ["encoder=hub", f"encoder.path={path}", "model=linear"],
    }[part]
    words = [word for word in words if part == "model" or not word.startswith(("model.", "model=transformer"))]
    run = composed(words, f"runs_dir={tmp_path}/runs")
    folder = execute(prepare(run), Quiet()).folder
    whole = contents(folder)
    swap(path)
    said = {"model": "the model's files have changed since .* model.safetensors", "encoder": "features of .* changed"}
    for cycles_left in (3, 2):
        with pytest.raises(UserError, match=said[part]) as caught:
            execute(prepare(run), Quiet())
        assert "--fresh" in caught.value.hints[0]
        if cycles_left == 3:
            interrupted(folder, 2)
    assert len(RunDir(folder).metrics()) == 2

    # A folder that is older than the record goes on, and a fresh start is the new network's own.
    facts = json.loads((folder / "run.json").read_text())
    fresh = {name: value for name, value in facts.items() if name not in ("features", "weights")}
    (folder / "run.json").write_text(json.dumps(fresh))
    assert not execute(prepare(run), Quiet()).reused
    assert contents(folder)["metrics.jsonl"].startswith(whole["metrics.jsonl"].split(b"\n")[0])
    assert json.loads((folder / "run.json").read_text()).keys() == facts.keys()
    assert not execute(prepare(run), Quiet(), fresh=True).reused
    assert contents(folder)["metrics.jsonl"] != whole["metrics.jsonl"]


def network_of(asked: list[str]) -> Path:
    """The folder of the network."""
    return next(Path(word.partition("=")[2]) for word in asked if word.startswith("model.path="))


def test_mended_weights_are_begun_with(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was committed, so nothing is mixed."""
    monkeypatch.setattr(alrun.run, "draw_run", lambda folder, formats: [])
    path = shutil.copytree(network_of(asked), tmp_path / "network")
    run = composed(asked, f"model.path={path}", f"runs_dir={tmp_path}/runs")
    sound = (path / "config.json").read_text()
    (path / "config.json").write_text("{}")
    with pytest.raises(UserError):
        execute(prepare(run), Quiet())
    (path / "config.json").write_text(sound)
    assert not execute(prepare(run), Quiet()).reused


def test_models_that_cannot_be_kept() -> None:
    run = cells(["dataset=digits", "dataset.pool=150", "save_models=true"], multirun=False)[0].run
    with pytest.raises(UserError, match="model 'linear' cannot be kept"):
        next(cycles(*parts(prepare(run))))


@pytest.mark.parametrize("preset", ["transformer_head", "transformer_full"])
def test_presets(preset: str, asked: list[str]) -> None:
    shipped = option("model", preset)
    assert shipped.keys() - {"method"} == option("model", "transformer").keys()
    words = [preset.join(word.split("transformer")) if word == "model=transformer" else word for word in asked]
    *_, last = cycles(*parts(prepare(composed(words))))
    assert last.metrics["model/steps"] == 4


def test_a_plan_names_the_memory_of_the_model(asked: list[str]) -> None:
    said = {more: next(plans([prepare(composed(asked, *more))]))["memory"] for more in ((), ("model.train=full",))}
    assert all("model " in text for text in said.values()) and len(set(said.values())) == 2


@pytest.mark.slow
def test_killed_while_adapters_are_trained(here: Path) -> None:
    """Pictures, for the script runs on digits; the same code trains on texts."""
    path = tiny_nets.vit(here / "vit")
    words = ["model=transformer", f"model.path={path}", "model.checkpoints=2", *QUICK, "strategy=badge"]
    script = Path(__file__).with_name("kills.py")
    ran = subprocess.run([sys.executable, script, here / "outputs", "8", *words], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["kills"] == 8 and len(set(told["at"])) >= 2, "the kills hit different cycles"


@pytest.mark.slow
def test_the_same_bytes_in_another_process(asked: list[str], here: Path) -> None:
    words = [f"runs_dir={here}" if word.startswith("runs_dir") else word for word in asked]
    found = []
    for _ in range(2):
        subprocess.run([sys.executable, "-m", "alrun", "run", "--fresh", *words], check=True, capture_output=True)
        (folder,) = [path.parent for path in here.rglob("summary.json")]
        found.append(contents(folder))
    assert found[0] == found[1]
