"""SelectAL: what is removed, how accuracies are taken, and who chooses."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.config import option
from alrun.errors import UserError
from alrun.strategies.select_al import first_to_go, mean_squared_distances, stratified

N, C = 60, 2
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 3))
LABELLED = np.arange(20)
LABELS = LABELLED % C
OPTIONS = option("strategy", "select_al") | {"low": "margin", "random": "random", "high": "maxherding"}
PROBS = RNG.dirichlet(np.ones(C), N)


def ask(wrong_without=(), labelled=LABELLED, seed=0, **options):
    """Choose with a model that errs on an item when none of `wrong_without` was trained on; and what it was asked."""
    trained = []

    def refit(idx):
        trained.append(set(idx.tolist()))
        logits = 5.0 * np.eye(C)[np.arange(N) % C]
        missing = [item for item in wrong_without if item not in trained[-1]]
        logits[: 2 * len(missing)] = 0  # unsure: the first class is predicted, and half of them err
        return ArraySignals(logits=logits)

    signals = ArraySignals(features=X, probs=PROBS, refit=refit)
    seen = view(signals, N, labelled, np.asarray(labelled) % C, C, seed=seed)
    return registry.build("strategy", {**OPTIONS, **options})(seen, 5), trained


def typical_first():
    seen = view(ArraySignals(features=X), N, LABELLED, LABELS, C)
    return mean_squared_distances(seen, 20)


def test_neighbours_are_those_of_the_pool():
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    squared = ((unit[:20, None] - unit) ** 2).sum(2)
    np.testing.assert_allclose(typical_first(), np.sort(squared, axis=1)[:, 1:21].mean(1), rtol=1e-9)


def test_removal_is_balanced():
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2])
    rank = torch.tensor([3.0, 2.0, 1.0, 0.0, 5.0, 4.0, 3.0, 0.0])
    assert first_to_go(labels, rank, 1).nonzero().flatten().tolist() == [3]
    assert first_to_go(labels, rank, 3).nonzero().flatten().tolist() == [2, 3, 6]
    assert sorted(labels[~first_to_go(labels, rank, 5)].tolist()) == [0, 1, 2]


def test_folds_deal_out_every_class():
    labels = torch.tensor([0] * 10 + [1] * 5)
    part = stratified(labels, torch.from_numpy(np.random.default_rng(0).permutation(15)), 5)
    for fold in range(5):
        assert labels[part == fold].bincount().tolist() == [2, 1]


@pytest.mark.parametrize(("sign", "regime", "chooser"), [(1, 0.0, "margin"), (-1, 2.0, "maxherding")])
def test_what_is_missed_chooses(sign, regime, chooser):
    gone = first_to_go(torch.from_numpy(LABELS), sign * typical_first(), 4).nonzero().flatten().tolist()
    ours, trained = ask(gone, share=0.2)
    assert ours.notes["regime"] == regime and ours.notes["removed"] == 4.0
    kind = "low" if sign > 0 else "high"
    others = {"low", "random", "high"} - {kind}
    assert all(ours.notes[f"accuracy_without_{kind}"] < ours.notes[f"accuracy_without_{name}"] for name in others)
    assert len(trained) == 7 * 5
    assert all(seen <= set(LABELLED.tolist()) for seen in trained)
    assert all(12 <= len(seen) <= 16 for seen in trained)  # 20 without a fold of 4 and up to 4 more
    seen = view(ArraySignals(features=X, probs=PROBS), N, LABELLED, LABELS, C)
    alone = registry.build("strategy", option("strategy", chooser))(seen, 5)
    assert ours.indices.tolist() == alone.indices.tolist()


def test_a_draw_is_for_low():
    assert ask()[0].notes["regime"] == 0.0


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_labels_are_a_low_budget(count):
    ours, trained = ask(labelled=LABELLED[:count])
    assert not trained
    assert {"regime": 0.0, "removed": 0.0}.items() <= ours.notes.items()


def test_the_strategies_are_checked_with_the_options():
    with pytest.raises(UserError, match="'typclust'"):
        registry.options("strategy", {**OPTIONS, "low": "typclust"})
    for wrong in ({"share": 0.0}, {"share": 1.0}, {"repeats": 0}, {"folds": 1}, {"neighbours": 0}, {"minimum": 0}):
        with pytest.raises(UserError, match="select_al cannot use"):
            ask(**wrong)
