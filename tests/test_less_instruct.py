"""Choosing instructions for a task, from files to run folders, with a language model of a few thousand weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import KEPT, contents, interrupted, kept_models
from tiny_lm import POOL, TASK, tiny_lm

from alrun.config import Run
from alrun.errors import RunFailed, UserError
from alrun.launch import cells
from alrun.loop import cycles
from alrun.models.causal_lm import opened
from alrun.models.speech import Reader, Template
from alrun.plan import plans
from alrun.prepare import prepare
from alrun.run import Quiet, encode, execute, material
from alrun.rundir import RunDir
from alrun.terminal import Screen

STRATEGIES = ("random", "perplexity", "mid_perplexity", "token_entropy", "less_instruct", "badge_lora")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The experiment, on small files and a small model."""
    folder = tmp_path_factory.mktemp("instruct")
    pool = [{"instruction": f"{item.prompt} {k}", "input": "", "output": item.options[0]}
            for k in ("one", "two", "three", "four") for item in POOL]  # fmt: skip
    task = [{"text": f"{item.prompt} {k}", "label": k % 2} for k in range(6) for item in TASK]
    for name, rows in (("pool", pool), ("near", task[:24]), ("far", task[24:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [
        "experiment=less_instruct", "hydra.mode=RUN", "dataset.pool=null", "seed=0", "dataset.target=2",
        f"dataset.train={folder}/pool.jsonl", f"dataset.goal.train={folder}/near.jsonl",
        f"dataset.goal.test={folder}/far.jsonl", "dataset.goal.rows=6", f"model.path={tiny_lm(folder / 'lm')}",
        "model.max_length=24", "model.rank=2", "model.min_steps=4", "model.epochs=2", "model.checkpoints=2",
        "budget.initial_labels=20", "budget.phases=[{labels: 20, cycles: 2}]", "encoder.dimensions=4",
    ]  # fmt: skip


@pytest.fixture
def small(words: list[str], here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALRUN_DATA", str(here))
    monkeypatch.setattr("alrun.run.draw_run", lambda *_: [])

    def run(*more: str) -> Run:
        return cells([*words, *more], multirun=False)[0].run

    return run


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_chooses_and_resumes_to_the_byte(strategy: str, small) -> None:
    prepared = prepare(small(f"strategy={strategy}"))
    matrix, _ = encode(prepared, Quiet())
    parts = prepared.run, prepared.dataset, material(prepared, matrix), prepared.batches, prepared.start
    whole = list(cycles(*parts))
    assert [cycle.metrics["n_labelled"] for cycle in whole] == [6, 12, 18]
    picks = [cycle.selection.indices for cycle in whole if cycle.selection]
    opened.cache_clear()  # as in another process
    again = list(cycles(*parts, picks[:1]))
    for cycle, other in zip(whole[1:], again, strict=True):
        assert json.dumps(cycle.metrics) == json.dumps(other.metrics)
        if cycle.selection and other.selection:
            assert torch.equal(cycle.selection.indices, other.selection.indices)
            assert cycle.selection.scores.numpy().tobytes() == other.selection.scores.numpy().tobytes()
    last = whole[-1].metrics
    for name in (
        "test/nll",
        "target/nll",
        "test/token_nll",
        "target/token_nll",
        "test/token_accuracy",
        "test/accuracy",
    ):
        assert last[name] is not None, name
    assert last["pool/entropy_mean"] == 0.0 and last["bought/0"] == 18


def test_the_warm_up_is_the_same_for_all(small) -> None:
    found = []
    for strategy in ("random", "perplexity"):
        prepared = prepare(small(f"strategy={strategy}"))
        matrix, _ = encode(prepared, Quiet())
        parts = prepared.run, prepared.dataset, material(prepared, matrix), prepared.batches, prepared.start
        found.append(dict(next(cycles(*parts)).metrics))
    assert found[0] == found[1]


def test_a_finished_run_and_one_that_continues(small) -> None:
    folder = execute(prepare(small("strategy=perplexity")), Quiet()).folder
    whole = contents(folder)
    interrupted(folder, 1)
    execute(prepare(small("strategy=perplexity")), Quiet())
    assert contents(folder, KEPT) == whole
    summary = json.loads((folder / "summary.json").read_text())
    assert {"target/token_nll", "token_nll"} <= set(summary["final"])


def test_a_plan_names_the_memory_of_the_model(small) -> None:
    assert "model " in next(plans([prepare(small("strategy=random"))]))["memory"]


def test_adapters_are_kept_and_a_run_that_goes_on_keeps_them_too(small) -> None:
    """Beside the run: how far training and reading have come is told, in steps and items."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    told: list[str] = []
    progress: dict[str, list[tuple[int, int]]] = {"training": [], "reading": []}

    class Listening(Quiet):
        def note(self, text: str) -> None:
            told.extend([text] if "model" in text else [])

        def working(self, what: str, done: int, total: int) -> None:
            progress[what].append((done, total))

    prepared = prepare(small("strategy=random", "save_models=true"))
    folder = execute(prepared, Listening()).folder
    assert not told
    steps = [json.loads(line)["model/steps"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert progress["training"] == [(step + 1, int(total)) for total in steps for step in range(int(total))]
    assert (6, 6) in progress["reading"]
    before = kept_models(folder)
    names = {"adapter_config.json", "adapter_model.safetensors"}
    assert before.keys() == {f"models/cycle_{cycle:03d}/{name}" for cycle in range(3) for name in names}
    network = AutoPeftModelForCausalLM.from_pretrained(folder / "models" / "cycle_002").eval()
    reader = Reader(AutoTokenizer.from_pretrained(prepared.run.model["path"]), Template.plain, 24)
    with np.load(folder / "predictions" / "cycle_002.npz") as said, torch.inference_mode():
        for at, row in enumerate(prepared.dataset.test):
            item = prepared.source.items[row]
            head = reader.prompt(item.prompt)
            scores = []
            for option in item.options:
                ends = reader.completion(option)
                logs = network(torch.tensor([head + ends])).logits[0, len(head) - 1 : -1].log_softmax(1)
                scores.append(logs.gather(1, torch.tensor(ends)[:, None]).sum())
            probs = torch.stack(scores).softmax(0)
            assert int(probs.argmax()) == said["test_prediction"][at]
            assert float(probs.max()) == pytest.approx(said["test_confidence"][at], abs=1e-4)

    interrupted(folder, 2)
    assert RunDir(folder).repair() == 2 and len(kept_models(folder)) == 4
    execute(prepared, Listening())
    assert kept_models(folder) == before and not told
    shutil.rmtree(folder / "models" / "cycle_001")
    execute(prepared, Listening())
    lost = "models/cycle_001/adapter_config.json is gone (and 1 more files of saved models): --fresh trains"
    assert len(told) == 1 and lost in told[0]


def test_answers_without_options_have_token_metrics_alone(small) -> None:
    no_options = ["dataset.goal.options=null", "dataset.goal.label=null", "dataset.goal.completion='{text}'"]
    folder = execute(prepare(small("strategy=random", "budget=everything", *no_options)), Quiet()).folder
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["test/accuracy"] is None and last["test/nll"] is None and last["target/nll"] is None
    assert last["test/token_nll"] > 0 and 0 <= last["test/token_accuracy"] <= 1


def test_questions_as_a_pool_are_bought_by_their_answers(small, words: list[str]) -> None:
    """Active learning in the usual sense: the pool's options are known, and only a label says which is right."""
    task = next(word.partition("=")[2] for word in words if word.startswith("dataset.goal.train"))
    asked = [f"dataset.train={task}", "dataset.goal=null", "dataset.prompt='{text}'", "dataset.completion=null"]
    asked += ["dataset.options=[negative, positive]", "dataset.label=label", "dataset.test='0.3'", "dataset.target=1"]
    folder = execute(prepare(small("strategy=entropy", *asked)), Quiet()).folder
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["pool/entropy_mean"] > 0 and last["bought/1"] > 0
    with pytest.raises((UserError, RunFailed), match="these pool items come without them"):
        execute(prepare(small("strategy=perplexity", *asked)), Quiet())


@pytest.mark.parametrize("strategy", ["entropy", "badge", "less"])
def test_uncertainty_about_known_answers_is_refused(strategy: str, small) -> None:
    schedule = f"strategy.schedule=[{{strategy: random, until: 1}}, {{strategy: {strategy}}}]"
    for asked in ([f"strategy={strategy}"], ["strategy=switch", schedule]):
        with pytest.raises(UserError, match=f"{strategy!r} .* there is nothing to be uncertain of"):
            prepare(small(*asked))


def test_a_task_without_options_shows_its_tokens(small, capsys: pytest.CaptureFixture[str]) -> None:
    goal = ["dataset.goal.options=null", "dataset.goal.label=null", "dataset.goal.completion='is {label}'"]
    prepared = prepare(small("strategy=random", "budget.phases=[{labels: 20, cycles: 1}]", *goal))
    matrix, _ = encode(prepared, Quiet())
    screen = Screen()
    for cycle in cycles(prepared.run, prepared.dataset, material(prepared, matrix), prepared.batches, prepared.start):
        screen.cycle(dict(cycle.metrics), dict(cycle.costs))
        assert cycle.metrics["test/accuracy"] is None
        share, nll = (cycle.metrics[f"test/{name}"] for name in ("token_accuracy", "token_nll"))
        assert f"{share:.3f}      {nll:.3f}" in capsys.readouterr().out
