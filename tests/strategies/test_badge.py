"""BADGE's distances and its draw."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from hypothesis import given, settings
from hypothesis import strategies as st

from alrun import registry
from alrun.numerics.gradients import residuals, spread, squared_to_nearest

SEEDS = 2000


def pool(seed: int, n: int, classes: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(classes), n), rng.standard_normal((n, width))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.integers(3, 40), twins=st.booleans(), block=st.sampled_from([1, 7, 64]))
def test_distances_are_those_of_the_gradients(seed, n, twins, block):
    probs, embeddings = (torch.from_numpy(x) for x in pool(seed, n, 4, 5))
    if twins:
        probs[n // 2], embeddings[n // 2] = probs[0], embeddings[0]
    residual = residuals(probs)
    full = (residual[:, :, None] * embeddings[:, None]).flatten(1)
    picks = [0, n - 1]
    direct = (full[:, None] - full[picks]).square().sum(2).amin(1)
    ours = squared_to_nearest(residual, embeddings, picks, block=block)
    np.testing.assert_allclose(ours, direct, rtol=1e-9, atol=1e-12)
    assert ours[0] == 0
    if twins:
        assert ours[n // 2] == 0


def second_pick_probability(probs: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
    hot = np.eye(probs.shape[1])[probs.argmax(1)]
    full = ((hot - probs)[:, :, None] * embeddings[:, None]).reshape(len(probs), -1)
    squared = ((full - full[(full**2).sum(1).argmax()]) ** 2).sum(1)
    return squared / squared.sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_second_pick_is_drawn_by_squared_distance(dtype):
    probs, embeddings = pool(3, 50, 3, 4)
    exact = second_pick_probability(probs, embeddings)
    choose = registry.build("strategy", {"name": "badge"})
    signals = ArraySignals(probs=probs.astype(dtype), embeddings=embeddings.astype(dtype))
    picks = [int(choose(view(signals, 50, seed=seed), 2).indices[1]) for seed in range(SEEDS)]
    frequency = np.bincount(picks, minlength=50) / SEEDS
    assert (np.abs(frequency - exact) <= 4.5 * np.sqrt(exact * (1 - exact) / SEEDS) + 1e-9).all()


@pytest.mark.parametrize(("proposals", "block"), [(1, 3), (4, 1000), (64, 16)])
def test_the_law_does_not_depend_on_proposals_or_blocks(proposals, block):
    """Inclusion frequencies against those of plain k-means++, one pick at a time."""
    probs, embeddings = (torch.from_numpy(x) for x in pool(4, 25, 3, 4))
    residual = residuals(probs)
    counts = np.zeros((2, 25))
    rng = np.random.default_rng(0)
    for _ in range(SEEDS):
        picks, _ = spread(residual, embeddings, 6, rng, proposals=proposals, block=block)
        counts[0, picks] += 1
    first = int(picks[0])
    table = torch.stack([squared_to_nearest(residual, embeddings, [j], block=99) for j in range(25)]).numpy()
    for _ in range(SEEDS):
        nearest, plain = table[first], [first]
        while len(plain) < 6:
            plain.append(int(rng.choice(25, p=nearest / nearest.sum())))
            nearest = np.minimum(nearest, table[plain[-1]])
        counts[1, plain] += 1
    share = counts.mean(0) / SEEDS
    error = np.sqrt(2 * share * (1 - share) / SEEDS)
    assert (np.abs(counts[0] - counts[1]) / SEEDS <= 4.5 * error + 1e-9).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_used_up_gradients_are_followed_by_a_uniform_draw(dtype):
    probs, embeddings = pool(5, 4, 3, 4)
    probs, embeddings = np.tile(probs, (10, 1)).astype(dtype), np.tile(embeddings, (10, 1)).astype(dtype)
    choose = registry.build("strategy", {"name": "badge"})
    counts = np.zeros(40)
    for seed in range(SEEDS):
        picks = choose(view(ArraySignals(probs=probs, embeddings=embeddings), 40, seed=seed), 12).indices.numpy()
        assert len(set(picks)) == 12
        assert len(set(picks[:4] % 4)) == 4, "each gradient once before any twice"
        counts[picks[4:]] += 1
    kinds = counts.reshape(10, 4)  # twins of the longest gradient are never its first pick, so compare later twins
    share = kinds[1:].mean() / SEEDS
    assert np.abs(kinds[1:] / SEEDS - share).max() < 0.1


def test_certain_items_come_last():
    probs = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    probs[2] = [0.2, 0.3, 0.5]
    choose = registry.build("strategy", {"name": "badge"})
    signals = ArraySignals(probs=probs, embeddings=np.random.default_rng(0).standard_normal((6, 4)))
    selection = choose(view(signals, 6), 6)
    assert selection.indices[0] == 2
    assert sorted(selection.indices.tolist()) == list(range(6))
    assert (selection.scores[2:] == 0).all()
