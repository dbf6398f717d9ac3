"""Outputs that are no numbers end a run with what happened and the way out; what was committed before stays."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from tiny import contents, parts, tiny

import alrun.run
from alrun import registry
from alrun.errors import RunFailed
from alrun.loop import cycles
from alrun.prepare import prepare
from alrun.reporter import Quiet
from alrun.run import execute
from alrun.rundir import RunDir
from alrun.types import Outputs


class Spoilt:
    """A model whose outputs are spoilt when it has seen this many labels."""

    notes: ClassVar = {"steps": 7.0}
    loss = 0.5

    def __init__(self, sound, labels: int, part: str, value: float, at: int) -> None:
        self.sound, self.part, self.value, self.spoilt = sound, part, value, labels >= at

    def outputs(self, part, idx) -> Outputs:
        found = self.sound.outputs(part, idx)
        logits = found.logits.clone()
        if self.spoilt and part == self.part:
            logits[-1:, 0] = self.value
        return Outputs(logits, found.embeddings)

    def head(self) -> None:
        return None

    def network(self) -> None:
        return None


@pytest.fixture
def spoil(here: Path, monkeypatch: pytest.MonkeyPatch):
    """A run whose linear model is spoilt in one part from so many labels on."""
    monkeypatch.setattr(alrun.run, "draw_run", lambda folder, formats: [])
    build = registry.build

    def prepared(part: str, value: float, at: int):
        def spoiling(kind, params, plugins=()):
            made = build(kind, {key: value for key, value in params.items() if key != "path"}, plugins)
            if kind != "model":
                return made
            return lambda material: (
                lambda idx, labels, rng: Spoilt(made(material)(idx, labels, rng), len(labels), part, value, at)
            )

        monkeypatch.setattr("alrun.loop.registry.build", spoiling)
        return prepare(tiny("strategy=random"))

    return prepared


@pytest.mark.parametrize("part", ["pool", "target", "test"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_diverged_after_so_many_steps(part: str, value: float, spoil) -> None:
    prepared = spoil(part, value, 11)
    with pytest.raises(RunFailed, match=r"diverged: .* not finite after 7 steps on 20 labels, and were before"):
        execute(prepared, Quiet())
    home = RunDir(prepared.folder)
    assert home.status() == "failed" and [line["n_labelled"] for line in home.metrics()] == [0, 10]
    kept = contents(home.path)
    with pytest.raises(RunFailed, match="diverged"):
        execute(prepared, Quiet())
    assert contents(home.path) == kept


@pytest.mark.parametrize("part", ["pool", "target", "test"])
def test_never_finite(part: str, spoil) -> None:
    prepared = spoil(part, np.nan, 0)
    with pytest.raises(RunFailed, match="model 'linear' are not finite before any training: its weights are damaged"):
        execute(prepared, Quiet())
    assert not RunDir(prepared.folder).metrics()


def test_never_finite_where_the_first_model_is_trained(spoil) -> None:
    run, dataset, material, batches, _ = parts(spoil("test", np.nan, 0))
    model = {**run.model, "path": "there"}
    with pytest.raises(RunFailed, match="before any training: its weights in 'there' are damaged"):
        next(cycles(replace(run, model=model), dataset, material, batches, torch.arange(5)))


def test_a_rate_that_is_too_high_is_named(here: Path) -> None:
    whole = cycles(*parts(prepare(tiny("strategy=random", "model=mlp", "model.learning_rate=1e30", "model.steps=3"))))
    next(whole)
    with pytest.raises(RunFailed, match=r"after 3 steps on 10 labels.*; lower model.learning_rate=1e\+30"):
        next(whole)
