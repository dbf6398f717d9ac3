"""What strategies may ask of a model, and what they may not."""

import inspect

import numpy as np
import pytest
import torch

from alrun.errors import UserError
from alrun.models.linear import linear
from alrun.models.material import Material
from alrun.models.mlp import mlp
from alrun.signals import ModelSignals
from alrun.streams import Stream, stream
from alrun.types import Signals

N, V, F, C = 40, 6, 5, 3


class Counted:
    """A learner that counts its trainings and its passes over the pool."""

    def __init__(self, learner):
        self.learner, self.fits, self.passes = learner, [], 0

    def __call__(self, idx, labels, rng):
        self.fits.append((idx.tolist(), labels.tolist()))
        model, outer = self.learner(idx, labels, rng), self

        class Watched:
            loss = model.loss
            head = model.head

            def outputs(self, part, idx):
                outer.passes += part == "pool"
                return model.outputs(part, idx)

        return Watched()


@pytest.fixture
def material():
    generator = torch.Generator().manual_seed(0)
    features = {part: torch.randn(n, F, generator=generator) for part, n in {"pool": N, "target": V, "test": 4}.items()}
    return Material(features, C, torch.device("cpu"))


LABELLED, LABELS = torch.tensor([7, 3, 30, 11]), torch.tensor([0, 1, 2, 1])


def signals(material, learner, sizes=(0, 2, 4), before=None, labels=LABELS):
    predictor = learner(LABELLED, labels, stream(5, Stream.MODEL, len(sizes) - 1))
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    return ModelSignals(
        material,
        learner,
        predictor,
        labelled=LABELLED,
        labels=labels,
        target_labels=target,
        sizes=sizes,
        seed=5,
        before=before,
    )


def small_mlp(material):
    return mlp(material, hidden=4, steps=5, batch=3, learning_rate=0.01, weight_decay=0.0)


def test_answers_what_the_protocol_asks(material):
    found = signals(material, linear(material, penalty=0.1, initial=0.01))
    asked = {name for name in vars(Signals) if not name.startswith("_")}
    for name in asked:
        assert inspect.signature(getattr(ModelSignals, name)).parameters.keys() == (
            inspect.signature(getattr(Signals, name)).parameters.keys()
        )
    idx = torch.tensor([9, 0, 39])
    assert torch.equal(found.features(idx), material.features["pool"][idx])
    assert torch.allclose(found.probs(idx).sum(dim=1), torch.ones(3))
    assert torch.equal(found.probs(idx), found.logits(idx).softmax(dim=1))
    head = found.head()
    assert torch.allclose(found.embeddings(idx) @ head.weight.T + head.bias, found.logits(idx))
    target = found.target()
    assert target.embeddings.shape == (V, F) and target.probs.shape == (V, C)
    assert target.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_passes_over_the_pool_once_and_only_when_asked(material):
    learner = Counted(linear(material, penalty=0.1, initial=0.01))
    found = signals(material, learner)
    found.features(torch.arange(3)), found.head(), found.target()
    assert learner.passes == 0
    found.probs(torch.arange(3)), found.logits(torch.arange(N)), found.embeddings(torch.tensor([5]))
    assert learner.passes == 1


@pytest.mark.parametrize("wrong", [[-1], [N], [0, N + 3]])
@pytest.mark.parametrize("ask", ["features", "logits", "probs", "embeddings"])
def test_refuses_indices_outside_the_pool(material, ask, wrong):
    found = signals(material, linear(material, penalty=0.1, initial=0.01))
    with pytest.raises(IndexError, match=f"the pool has {N} items"):
        getattr(found, ask)(torch.tensor(wrong))


def test_refit_learns_from_labelled_items_only(material):
    learner = Counted(linear(material, penalty=0.1, initial=0.01))
    found = signals(material, learner)
    again = found.refit(torch.tensor([30, 7]))
    assert learner.fits[-1] == ([30, 7], [2, 0])
    assert again.previous() is None
    with pytest.raises(UserError, match="pool item 8"):
        found.refit(torch.tensor([7, 8]))
    with pytest.raises(UserError, match="pool item 3"):
        again.refit(torch.tensor([3]))  # it was left out: the throw-away model does not know its label
    with pytest.raises(UserError, match="pool item -1"):
        found.refit(torch.tensor([-1]))


def test_refit_draws_from_its_own_stream(material):
    found = signals(material, small_mlp(material))
    every = torch.arange(N)
    first, second = found.refit(LABELLED), found.refit(LABELLED)
    assert torch.equal(first.logits(every), second.logits(every))
    expected = small_mlp(material)(LABELLED, LABELS, stream(5, Stream.REFIT, 2)).outputs("pool", every).logits
    assert torch.equal(first.logits(every), expected)
    assert not torch.equal(first.logits(every), found.logits(every))


def test_previous_is_the_model_of_the_cycle_before_at_hand_or_not(material):
    learner = Counted(small_mlp(material))
    every = torch.arange(N)
    before = small_mlp(material)(LABELLED[:2], LABELS[:2], stream(5, Stream.MODEL, 1))
    kept, redone = signals(material, learner, before=before), signals(material, learner)
    fits = len(learner.fits)
    assert torch.equal(kept.previous().logits(every), before.outputs("pool", every).logits)
    assert len(learner.fits) == fits
    assert torch.equal(redone.previous().logits(every), kept.previous().logits(every))
    assert learner.fits[fits:] == [([7, 3], [0, 1])]
    redone.previous()
    assert len(learner.fits) == fits + 1
    first = redone.previous().previous()
    assert torch.equal(first.logits(every), learner(*_none(), stream(5, Stream.MODEL, 0)).outputs("pool", every).logits)
    assert first.previous() is None


def _none():
    return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)


def test_sizes_must_fit_the_labels(material):
    with pytest.raises(ValueError, match="4 labelled items"):
        signals(material, linear(material, penalty=0.1, initial=0.01), sizes=(0, 2))


def test_a_label_that_was_not_bought_is_nowhere(material):
    """Everything reachable from the signals holds as many labels as were paid for."""
    found = signals(material, linear(material, penalty=0.1, initial=0.01))
    seen, tensors = set(), []

    def walk(thing):
        if id(thing) in seen:
            return
        seen.add(id(thing))
        if isinstance(thing, torch.Tensor | np.ndarray):
            tensors.append(thing)
        elif isinstance(thing, dict):
            [walk(value) for value in thing.values()]
        elif isinstance(thing, list | tuple):
            [walk(value) for value in thing]
        else:
            walk(getattr(thing, "__dict__", {}))
            for cell in getattr(thing, "__closure__", None) or ():
                walk(cell.cell_contents)

    walk(found)
    integers = [tensor for tensor in tensors if not torch.as_tensor(tensor).is_floating_point()]
    assert sorted(len(tensor) for tensor in integers) == [4, 4, V]
