"""ActiveFT's steps against automatic differentiation of its loss, and its picks."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from hypothesis import given, settings
from hypothesis import strategies as st

from alrun import registry
from alrun.errors import UserError
from alrun.numerics.anchors import Anchors, nearest_untaken

OPTIONS = {"name": "activeft", "temperature": 0.07, "rate": 0.001, "steps": 40, "balance": 1.0}


def unit(seed: int, n: int, width: int, dtype=torch.float64) -> torch.Tensor:
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, width)))
    return torch.nn.functional.normalize(x, dim=1).to(dtype)


def by_definition(points, free, frozen, temperature, balance, rate, steps):
    """The loss as its formula reads, every point against every direction, differentiated by torch."""
    theta = free.clone().requires_grad_()
    adam = torch.optim.Adam([theta], lr=rate)
    losses = []
    for _ in range(steps):
        phi = torch.cat([torch.nn.functional.normalize(theta, dim=1), frozen])
        near, c = (points @ phi.T / temperature).max(1)
        apart = (phi.detach() @ phi.T / temperature).exp().sum(0) * balance
        loss = (torch.log(near.exp() + apart[c]) - near).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, torch.nn.functional.normalize(theta.detach(), dim=1)


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 40),
    k=st.integers(1, 6),
    frozen=st.integers(0, 4),
    balance=st.sampled_from([0.3, 1.0]),
    block=st.sampled_from([3, 64]),
    rate=st.sampled_from([0.001, 0.05]),
)
def test_steps_are_those_of_the_loss(seed, n, k, frozen, balance, block, rate):
    points, held = unit(seed, n, 5), unit(seed + 1, frozen, 5)
    free = points[torch.arange(k) % n] + 0.01 * unit(seed + 2, k, 5)
    anchors = Anchors(points, free, held, temperature=0.2, balance=balance, rate=rate, block=block)
    losses = [anchors.step() for _ in range(30)]
    expected, directions = by_definition(points, free, held, 0.2, balance, rate, 30)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_allclose(anchors.directions()[:k], directions, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), few=st.integers(1, 4), block=st.sampled_from([3, 64]))
def test_each_direction_takes_the_nearest_that_is_left(seed, n, few, block):
    points = unit(seed, n, 3)
    points[n // 2 :] = points[: n - n // 2].clone()
    directions = unit(seed + 1, min(n, 9), 3)
    left, expected = (points @ directions.T).clone(), []
    for k in range(len(directions)):
        expected.append(float(left[:, k].max()))
        left[int(left[:, k].argmax())] = -torch.inf
    picks, near = nearest_untaken(points, directions, few=few, block=block)
    assert len(set(picks.tolist())) == len(directions)
    np.testing.assert_allclose(near, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("k", [4, 40])
@pytest.mark.parametrize("block", [1, 64])
def test_points_follow_the_first_of_directions_that_start_alike(k, block):
    points = unit(0, 30, 5, torch.float32)
    start = points[torch.arange(k // 2).repeat_interleave(2) % 30]  # 0 0 1 1 2 2 ...
    anchors = Anchors(points, start, points[:0], temperature=0.07, balance=1.0, rate=0.001, block=block)
    anchors.step()
    assert (anchors.closest % 2 == 0).all()


def test_labelled_items_push_the_directions_away():
    rng = np.random.default_rng(0)
    middles = np.eye(4)
    x = (np.repeat(middles, 30, axis=0) + 0.1 * rng.standard_normal((120, 4))).astype(np.float32)
    choose = registry.build("strategy", {**OPTIONS, "rate": 0.05, "steps": 100})
    groups = [int(choose(view(ArraySignals(features=x), 120, [0, 1, 2], seed=s), 1).indices) // 30 for s in range(20)]
    assert np.mean(np.array(groups) == 0) < 0.25


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twins_and_rows_of_zeros(dtype):
    x = np.zeros((20, 4), dtype=dtype)
    x[:10] = 1
    selection = registry.build("strategy", OPTIONS)(view(ArraySignals(features=x), 20, [0, 19]), 18)
    assert sorted(selection.indices.tolist()) == list(range(1, 19))
    assert np.isfinite(selection.notes["loss"])


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"rate": -1.0}, {"balance": 0.0}, {"steps": -1}])
def test_options_that_make_no_sense(wrong):
    with pytest.raises(UserError, match="activeft cannot use"):
        registry.build("strategy", {**OPTIONS, **wrong})(view(ArraySignals(features=np.eye(3)), 3), 1)
