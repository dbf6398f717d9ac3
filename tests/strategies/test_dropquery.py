"""DropQuery's candidates and its fallbacks."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.errors import UserError
from alrun.numerics.dropout import dropped_predictions, unstable
from alrun.types import Head

OPTIONS = {"name": "dropquery", "dropout": 0.75, "draws": 3, "per_pick": 25}
N, D, C = 80, 6, 4
RNG = np.random.default_rng(0)
X, W, B = RNG.standard_normal((N, D)), RNG.standard_normal((C, D)), RNG.standard_normal(C)


HEAD = Head(torch.from_numpy(W), torch.from_numpy(B))


def ask(n, labelled=(0, 1), head: Head | None = HEAD, seed=0, **options):
    signals = ArraySignals(features=X, embeddings=X, logits=X @ W.T + B, head=head)
    return registry.build("strategy", {**OPTIONS, **options})(view(signals, N, labelled, seed=seed), n)


def test_masks_keep_a_quarter_and_scale_it():
    """Predictions of one input at a time against masks applied by hand, from the same generator."""
    x, weight, bias = (torch.from_numpy(a) for a in (X, W, B))
    ours = dropped_predictions(x, weight, bias, 0.75, 3, np.random.default_rng(5), block=7)
    assert torch.equal(ours, dropped_predictions(x, weight, bias, 0.75, 3, np.random.default_rng(5), block=1000))
    masks = np.random.default_rng(5).random((N, 3, D), dtype=np.float32) >= 0.75
    direct = [[((mask * row / 0.25) @ W.T + B).argmax() for mask in three] for row, three in zip(X, masks, strict=True)]
    np.testing.assert_array_equal(ours.T, direct)


def test_one_contradiction_is_enough_where_two_are_rare():
    without = torch.zeros(6, dtype=torch.int64)
    predicted = torch.tensor([[0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 0, 0]])
    assert [part.tolist() if torch.is_tensor(part) else part for part in unstable(without, predicted, 2)] == [
        [0, 1, 2, 3, 0, 0],
        1,
        [2, 3],
    ]
    assert unstable(without, predicted, 3)[2].tolist() == [1, 2, 3]


def test_picks_are_candidates_where_there_are_enough():
    for seed in range(5):
        ours = ask(4, seed=seed, per_pick=5)
        assert ours.notes["threshold"] == 1.0
        assert (ours.scores > 0.5).all()


def test_too_few_candidates_are_all_taken():
    steady = Head(torch.from_numpy(0 * W), torch.from_numpy(B))  # the bias decides, whatever is dropped
    signals = ArraySignals(features=X, embeddings=X, logits=np.tile(B, (N, 1)), head=steady)
    choose = registry.build("strategy", OPTIONS)
    picks = [choose(view(signals, N, [0], seed=s), 5) for s in range(200)]
    assert all(pick.notes == {"candidates": 0.0, "threshold": 0.0} for pick in picks)
    counts = np.bincount(torch.cat([pick.indices for pick in picks]), minlength=N)[1:] / 200
    assert np.abs(counts - 5 / 79).max() < 4.5 * np.sqrt(5 / 79 / 200)


def test_nothing_labelled_is_k_means_of_the_pool():
    centres = np.eye(4, D)
    x = np.repeat(centres, 10, axis=0) + 0.01 * np.random.default_rng(0).standard_normal((40, D))
    signals = ArraySignals(features=x)
    picks = registry.build("strategy", OPTIONS)
    found = False
    for seed in range(10):
        signals.given["head"] = HEAD
        found |= set((picks(view(signals, 40, seed=seed), 4).indices // 10).tolist()) == {0, 1, 2, 3}
    assert found


def test_a_model_without_a_linear_head_is_refused():
    with pytest.raises(UserError, match="linear last layer"):
        ask(3, head=None)


@pytest.mark.parametrize("wrong", [{"dropout": 1.0}, {"dropout": 0.0}, {"draws": 0}, {"per_pick": 0}])
def test_options_that_make_no_sense(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        ask(3, **wrong)
