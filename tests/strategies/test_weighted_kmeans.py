"""Weighted k-means against its definition, and where clusters are fewer than the batch."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from hypothesis import given, settings
from hypothesis import strategies as st

from alrun import registry
from alrun.errors import UserError
from alrun.numerics.kmeans import lloyd, nearest_centre, nearest_members, seeds


def ask(features, probs, n, beta, seed=0):
    choose = registry.build("strategy", {"name": "weighted_kmeans", "beta": beta})
    return choose(view(ArraySignals(features=features, probs=probs), len(probs), seed=seed), n)


def doubt(probs):
    first, second = np.sort(probs, axis=1)[:, ::-1][:, :2].T
    return 1 - (first - second)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), k=st.integers(1, 6), grid=st.booleans())
def test_lloyd_is_at_rest_and_never_worse_than_its_start(seed, n, k, grid):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (n, 2)).astype(float) if grid else rng.standard_normal((n, 3))
    points, weights = torch.from_numpy(points), torch.from_numpy(rng.random(n))
    start = points[torch.from_numpy(rng.integers(0, n, k))]
    found = lloyd(points, weights, start, block=7)
    every = lloyd(points, weights, start, block=1000)
    assert torch.equal(found.members, every.members)
    direct = (points[:, None] - found.centres).square().sum(2)
    np.testing.assert_allclose(found.squared, direct.amin(1), atol=1e-12)
    before = (points[:, None] - start).square().sum(2).amin(1)
    assert weights @ found.squared <= weights @ before + 1e-9
    for c in found.members.unique().tolist():
        mine = found.members == c
        np.testing.assert_allclose(found.centres[c], (weights[mine] @ points[mine]) / weights[mine].sum(), atol=1e-9)
    picks = nearest_members(found).tolist()
    assert found.members[picks].tolist() == found.members.unique().tolist()
    for pick in picks:
        mine = (found.members == found.members[pick]).nonzero().flatten()
        assert pick == mine[found.squared[mine].argmin()]


@pytest.mark.parametrize("offset", [0, 1e7, -1e12])
def test_a_common_offset_moves_no_point_to_another_centre(offset):
    rng = np.random.default_rng(3)
    points = torch.from_numpy(rng.integers(-64, 64, (200, 3)) / 64)
    start = points[:5]
    members, squared = nearest_centre(points + offset, start + offset, block=64)
    direct = (points[:, None] - start).square().sum(2)
    assert torch.equal(members, direct.argmin(1))
    assert torch.equal(squared, direct.amin(1))


def test_first_centres_are_drawn_by_weight_times_squared_distance():
    points = torch.tensor([[0.0], [1.0], [3.0], [3.0]], dtype=torch.float64)
    weights = torch.tensor([1.0, 2.0, 1.0, 0.0], dtype=torch.float64)
    rng = np.random.default_rng(0)
    counts = np.zeros((4, 4))
    for _ in range(4000):
        first, second = seeds(points, weights, 2, rng).tolist()
        counts[first, second] += 1
    exact = np.array([[0, 2, 9, 0], [1, 0, 4, 0], [9, 8, 0, 0], [0, 0, 0, 0]], float)
    exact = exact / np.maximum(exact.sum(1, keepdims=True), 1) * np.array([0.25, 0.5, 0.25, 0])[:, None]
    assert (np.abs(counts / 4000 - exact) <= 4.5 * np.sqrt(exact * (1 - exact) / 4000)).all()


def test_beta_one_is_margin_sampling():
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(4), 50)
    ours = ask(rng.standard_normal((50, 3)), probs, 7, beta=1)
    assert ours.indices.tolist() == np.argsort(-doubt(probs), kind="stable")[:7].tolist()
    np.testing.assert_allclose(ours.scores, np.sort(doubt(probs))[::-1][:7])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_empty_clusters_give_the_most_uncertain_that_are_left(dtype):
    probs = np.random.default_rng(2).dirichlet(np.ones(3), 30).astype(dtype)
    order = np.argsort(-doubt(probs), kind="stable")
    ours = ask(np.ones((30, 2), dtype), probs, 6, beta=5)  # all rows equal: one cluster
    assert sorted(ours.indices.tolist()) == sorted(order[:6].tolist())


def test_certain_items_come_in_the_order_of_the_pool():
    probs = np.eye(3)[np.zeros(9, int)]
    assert ask(np.random.default_rng(0).standard_normal((9, 2)), probs, 4, beta=2).indices.tolist() == [0, 1, 2, 3]


def test_a_beta_below_one_is_refused():
    with pytest.raises(UserError, match="beta=0"):
        ask(np.eye(3), np.eye(3), 1, beta=0)
