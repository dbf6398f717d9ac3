"""For one seed every strategy starts from the same things, and nothing depends on labels it may not know."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import parts, strategies, tiny

import alrun.loop
from alrun.loop import cycles
from alrun.prepare import prepare
from alrun.run import Quiet, encode
from alrun.streams import Stream, stream
from alrun.types import View

STRATEGIES = strategies()
MODELS = ["knn", "linear", "mlp"]  # those that learn from features; the others have pages of their own
DRAWN = ("budget.initial=random", "budget.initial_labels=1")


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_split_and_sets(seed: int, here: Path) -> None:
    found = [prepare(tiny(f"strategy={name}", f"seed={seed}", *DRAWN)) for name in STRATEGIES]
    first = found[0]
    assert len(first.start) == 10
    for other in found[1:]:
        for name in ("pool", "target", "test", "answers"):
            assert np.array_equal(getattr(first.dataset, name), getattr(other.dataset, name))
        assert torch.equal(first.start, other.start)
        assert first.batches == other.batches
    assert len({prepared.folder for prepared in found}) == len(STRATEGIES)


def test_another_seed_is_another_split(here: Path) -> None:
    one, two = (prepare(tiny(f"seed={seed}", *DRAWN)) for seed in (0, 1))
    assert not np.array_equal(one.dataset.pool, two.dataset.pool)
    assert not np.array_equal(one.dataset.target, two.dataset.target)
    assert not torch.equal(one.start, two.start)
    assert np.array_equal(one.dataset.test, two.dataset.test)


@pytest.mark.parametrize("model", MODELS)
def test_the_same_initial_weights_in_every_cycle(model: str, here: Path) -> None:
    """What a model draws depends on seed and cycle; trained on the same labels, two strategies get the same model."""
    prepared = [prepare(tiny(f"strategy={name}", f"model={model}")) for name in ("random", "entropy")]
    run, dataset, material, _, _ = parts(prepared[0])
    learner = alrun.loop.registry.build("model", run.model)(material)
    idx, everything = torch.arange(20), torch.arange(len(dataset.test))
    labels = torch.from_numpy(dataset.answers[:20])
    for cycle in range(3):
        one, two = (learner(idx, labels, stream(0, Stream.MODEL, cycle)) for _ in range(2))
        assert torch.equal(one.outputs("test", everything).logits, two.outputs("test", everything).logits)
    firsts = [next(cycles(*parts(one))) for one in prepared]
    assert firsts[0].metrics["test/nll"] == firsts[1].metrics["test/nll"]
    for name, array in firsts[0].predictions.items():
        assert np.array_equal(array, firsts[1].predictions[name])


def test_every_strategy_gets_the_same_model_stream(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, list[float]] = {}
    for name in ("random", "entropy", "badge", "uherding"):
        seen = drawn[name] = []

        def watched(seed: int, purpose: Stream, cycle: int = 0, seen: list[float] = seen) -> np.random.Generator:
            if purpose is Stream.MODEL:
                seen.append(stream(seed, purpose, cycle).random())
            return stream(seed, purpose, cycle)

        monkeypatch.setattr(alrun.loop, "stream", watched)
        list(cycles(*parts(prepare(tiny(f"strategy={name}")))))
    assert len({tuple(values) for values in drawn.values()}) == 1
    assert len(set(drawn["random"])) == 5, "and another one in every cycle"


def test_features_do_not_depend_on_the_run(here: Path) -> None:
    runs = [prepare(tiny(*asked)) for asked in ((), ("seed=1",), ("strategy=badge",), ("dataset.pool=100",))]
    assert len({encode(prepared, Quiet())[1] for prepared in runs}) == 1


def poisoned(prepared: Any, known: torch.Tensor) -> Any:
    """The same data with every label changed that a strategy cannot know: all of the pool's but `known`, the test's."""
    dataset = prepared.dataset
    n_classes = len(dataset.source.classes)
    hidden = np.setdiff1d(np.arange(len(dataset.pool)), known.numpy())
    labels, answers = dataset.source.labels.copy(), dataset.answers.copy()
    answers[hidden] = (answers[hidden] + 1) % n_classes
    for rows in (dataset.pool[hidden], dataset.test):
        labels[rows] = (labels[rows] + 3) % n_classes
    return replace(dataset, source=replace(dataset.source, labels=labels), answers=answers)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_hidden_labels_change_no_pick(strategy: str, here: Path) -> None:
    prepared = prepare(tiny(f"strategy={strategy}", *DRAWN))
    run, dataset, material, batches, first = parts(prepared)
    whole = list(cycles(run, dataset, material, batches, first))
    picks = [cycle.selection.indices for cycle in whole if cycle.selection]
    for k in range(len(batches)):
        lies = poisoned(prepared, torch.cat([first, *picks[:k]]))
        assert (lies.answers != dataset.answers).sum() == len(dataset.pool) - 10 * (k + 1)
        assert (lies.source.labels[lies.test] != dataset.source.labels[lies.test]).all()
        cycle = next(cycles(run, lies, material, batches, first, picks[:k]))
        assert cycle.selection is not None
        assert torch.equal(cycle.selection.indices, picks[k])
        expected = whole[k].selection
        assert expected is not None
        assert cycle.selection.scores.numpy().tobytes() == expected.scores.numpy().tobytes()
        assert cycle.metrics["test/accuracy"] != whole[k].metrics["test/accuracy"], "the lies do reach the evaluation"


def test_nothing_in_a_view_knows_hidden_labels(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever can be reached from a view without asking for private things, and without calling anything."""
    prepared = prepare(tiny("strategy=random", *DRAWN))
    run, dataset, material, batches, first = parts(prepared)
    views: list[View] = []
    build = alrun.loop.registry.build

    def watched(kind: str, params: Any, plugins: Any = ()) -> Any:
        function = build(kind, params, plugins)
        return (lambda view, n: (views.append(view), function(view, n))[1]) if kind == "strategy" else function

    monkeypatch.setattr(alrun.loop.registry, "build", watched)
    list(cycles(run, dataset, material, batches, first))
    for view in views:
        assert len(view.labels) == len(view.labelled)
        assert not set(view.labelled.tolist()) & set(view.unlabelled.tolist())
        assert [name for name in vars(view) if not name.startswith("_")] == [
            "unlabelled", "labelled", "labels", "n_classes", "cycle", "signals", "rng", "memo",
        ]  # fmt: skip
        held = [value for value in vars(view.signals).values() if isinstance(value, torch.Tensor)]
        assert held, "the signals hold the labels that were bought"
        assert all(len(value) < len(dataset.pool) for value in held if value.dtype == torch.int64)
        assert not any(np.array_equal(value.numpy(), dataset.source.labels[dataset.test]) for value in held)
        with pytest.raises(Exception, match="labelled"):
            view.signals.refit(view.unlabelled[:1])
