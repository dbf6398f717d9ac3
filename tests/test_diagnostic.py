"""Labels that nobody paid for: one option sees them, and says so everywhere; no other one can."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import command, done, parts, tiny

from alrun.config import check
from alrun.errors import UserError
from alrun.loop import cycles
from alrun.prepare import load_run, prepare
from alrun.strategies.less_axes import Goal, Label

ORACLE = ("strategy=less", "strategy.label=oracle")


def picks(*overrides: str, poison: np.ndarray | None = None) -> list[list[int]]:
    """What a tiny run buys; `poison`: other answers, for items that are never bought."""
    run, dataset, material, batches, start = parts(prepare(tiny("budget.phases=[{labels: 1, cycles: 2}]", *overrides)))
    if poison is not None:
        dataset = replace(dataset, answers=poison)
    return [
        cycle.selection.indices.tolist() for cycle in cycles(run, dataset, material, batches, start) if cycle.selection
    ]


def poisoned(bought: list[list[int]]) -> np.ndarray:
    """All answers but those for what was bought are shifted."""
    answers = prepare(tiny()).dataset.answers
    return np.where(np.isin(np.arange(len(answers)), np.concatenate(bought)), answers, (answers + 3) % 10)


@pytest.mark.parametrize("label", [label for label in Label if label != "oracle"])
def test_no_other_label_reads_what_was_not_bought(label: str, here) -> None:
    for goal in ("val_mean", "labelled_mean"):
        options = ("strategy=less", f"strategy.label={label}", f"strategy.target={goal}", "strategy.draws=2")
        bought = picks(*options)
        assert picks(*options, poison=poisoned(bought)) == bought


@pytest.mark.parametrize("goal", list(Goal))
def test_no_target_reads_what_was_not_bought(goal: str, here) -> None:
    options = ("strategy=less", f"strategy.target={goal}")
    bought = picks(*options)
    assert picks(*options, poison=poisoned(bought)) == bought


def test_the_oracle_does(here) -> None:
    bought = picks(*ORACLE)
    assert picks(*ORACLE, poison=poisoned(bought)) != bought


def test_the_run_says_so(here) -> None:
    folder = done(*ORACLE, "dataset.pool=60", "budget.phases=[{labels: 1, cycles: 1}]")
    assert folder.parent.name == "less+oracle-labels-low"
    assert json.loads((folder / "run.json").read_text())["diagnostic"] is True
    assert load_run(folder).strategy["name"] == "less+oracle-labels"
    assert "less+oracle-labels" in command("ls", "runs").output
    assert "oracle" not in str(prepare(tiny("strategy=less")).folder)


def test_whoever_calls_a_diagnostic_is_one() -> None:
    schedule = "[{strategy: random, until: 5}, {strategy: {name: less, label: oracle}}]"
    run = tiny("strategy=switch", f"strategy.schedule={schedule}")
    assert run.strategy["name"] == "switch+oracle-labels" and run.strategy["method"] == "switch"
    before = dict(run.strategy)
    check(run)
    assert run.strategy == before, "it is marked once"
    assert tiny("strategy=switch").strategy["name"] == "switch"


def test_signals_of_other_runs_have_no_oracle(here) -> None:
    from alrun.signals import ModelSignals
    from alrun.streams import Stream, stream

    run, dataset, material, *_ = parts(prepare(tiny()))
    from alrun import registry

    learner = registry.build("model", run.model)(material)
    nothing = torch.tensor([], dtype=torch.int64)
    signals = ModelSignals(
        material,
        learner,
        learner(nothing, nothing, stream(0, Stream.MODEL)),
        labelled=nothing,
        labels=nothing,
        target_labels=torch.from_numpy(dataset.source.labels[dataset.target]),
        sizes=[0],
        seed=0,
    )
    with pytest.raises(UserError, match="nobody has paid for"):
        signals.oracle_labels(torch.tensor([0]))
    with pytest.raises(UserError, match="its last layer alone") as caught:
        signals.gradients("lora")
    assert "model=transformer" in caught.value.hints
    head = signals.gradients("head")
    for wanted, said in ((head.adam, "Adam moments"), (head.checkpoints, "checkpoints")):
        with pytest.raises(UserError, match=said) as caught:
            wanted()
        assert "model=transformer" in caught.value.hints


@pytest.mark.parametrize("changed", ["update=adam", "update=adam_linear", "scope=lora", "trajectory=checkpoints"])
def test_a_linear_head_refuses_what_it_has_not(changed: str, here) -> None:
    with pytest.raises(UserError) as caught:
        picks("strategy=less", f"strategy.{changed}")
    assert "model=transformer" in caught.value.hints
