"""Greedy k-centre against the definition, in exact arithmetic on small whole numbers."""

import math

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from hypothesis import given, settings
from hypothesis import strategies as st

from alrun import registry
from alrun.numerics.kcentre import farthest_first, nearest_distances


@st.composite
def grids(draw) -> tuple[np.ndarray, np.ndarray, int]:
    """Points with whole coordinates (many ties and twins), the labelled ones, a batch size."""
    size = draw(st.integers(2, 40))
    points = np.array(
        draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=size, max_size=size)), float
    )
    labelled = draw(st.lists(st.integers(0, size - 1), unique=True, max_size=size - 1))
    return points, np.array(labelled, dtype=np.int64), draw(st.integers(1, size - len(labelled)))


def brute(points: np.ndarray, labelled: np.ndarray, n: int) -> tuple[list[int], list[float]]:
    centres, picks, distances = list(labelled), [], []
    rest = [i for i in range(len(points)) if i not in set(labelled)]
    for _ in range(n):
        free = [i for i in rest if i not in picks]
        nearest = [min((math.dist(points[i], points[c]) for c in centres), default=math.inf) for i in free]
        picks.append(free[int(np.argmax(nearest))])
        distances.append(max(nearest))
        centres.append(picks[-1])
    return picks, distances


def choose(points: np.ndarray, labelled: np.ndarray, n: int, space: str = "embeddings") -> tuple[list, np.ndarray]:
    strategy = registry.build("strategy", {"name": "coreset", "space": space})
    ours = strategy(view(ArraySignals(**{space: points}), len(points), labelled), n)
    return ours.indices.tolist(), ours.scores.numpy()


@given(grids(), st.sampled_from([np.float64, np.float32]), st.sampled_from(["embeddings", "features"]))
@settings(max_examples=200, deadline=None)
def test_picks_and_distances_are_those_of_the_definition(case, dtype, space):
    points, labelled, n = case
    picks, distances = brute(points, labelled, n)
    ours, scores = choose(points.astype(dtype), labelled, n, space)
    np.testing.assert_allclose(scores, distances, rtol=1e-12, atol=1e-12)
    if len(set(distances)) == len(distances):  # without ties that rounding of the mean could break
        assert ours == picks
    assert len(set(ours)) == n and not set(ours) & set(labelled.tolist())


@given(grids())
@settings(max_examples=50, deadline=None)
def test_a_second_labelled_copy_changes_nothing(case):
    points, labelled, n = case
    if not len(labelled):
        return
    twice = np.concatenate([points, points[labelled]])
    more = np.concatenate([labelled, np.arange(len(points), len(twice))])
    np.testing.assert_allclose(choose(twice, more, n)[1], choose(points, labelled, n)[1], atol=1e-12)


def test_twins_come_last_in_pool_order():
    points = np.zeros((6, 3))
    points[4] = 1
    assert choose(points, np.array([2]), 5) == ([4, 0, 1, 3, 5], pytest.approx([math.sqrt(3), 0, 0, 0, 0]))


@pytest.mark.parametrize(
    ("points", "apart"),
    [(np.ones((200, 3)), 0), (np.zeros((200, 3)), 0), (np.eye(200), 2**0.5)],
    ids=["ones", "zeros", "axes"],
)
def test_leaders_that_are_all_alike_from_the_start(points, apart):
    """To look at more and more of them has cost a whole pass before anything is picked."""
    picks, scores = choose(points, np.arange(4), 7, "features")
    assert picks == list(range(4, 11))
    np.testing.assert_allclose(scores, apart)


def test_nothing_labelled_starts_at_the_first_item():
    points = np.random.default_rng(0).normal(size=(20, 3))
    picks, distances = choose(points, np.array([], dtype=np.int64), 3)
    assert picks[0] == 0 and distances[0] == math.inf
    assert picks == brute(points, np.array([], dtype=np.int64), 3)[0]


def test_the_order_of_the_pool_does_not_matter():
    rng = np.random.default_rng(1)
    points, order = rng.normal(size=(60, 4)), rng.permutation(60)
    labelled = np.array([5, 9])
    back = np.argsort(order)
    picks = choose(points[order], back[labelled], 12)[0]
    assert order[picks].tolist() == choose(points, labelled, 12)[0]


@pytest.mark.parametrize("block", [1, 7, 64, 4096])
def test_any_block_gives_the_same_picks(block):
    rng = np.random.default_rng(2)
    points, centres = torch.from_numpy(rng.normal(size=(300, 6))), torch.from_numpy(rng.normal(size=(9, 6)))
    picks, distances = farthest_first(points, centres, 40, block=block)
    wanted, far = farthest_first(points, centres, 40)
    assert picks.tolist() == wanted.tolist()
    torch.testing.assert_close(distances, far)
    left = nearest_distances(points, torch.cat([centres, points[picks]]), block=block)
    torch.testing.assert_close(left.max(), torch.cdist(points, torch.cat([centres, points[picks]])).amin(1).max())
    assert (left[picks] == 0).all()


def test_distances_far_from_the_origin_keep_their_digits():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(200, 5))
    near, far = choose(points, np.array([0]), 60), choose(points + 1e5, np.array([0]), 60)
    assert near[0] == far[0]
    np.testing.assert_allclose(far[1], near[1], rtol=1e-9)


def test_distances_are_not_increasing_and_leaders_are_measured_again_in_bulk():
    """On a line each pick changes the bound of most leaders: single refreshes cost a pass, and a pass is made."""
    points = torch.linspace(0, 1, 400, dtype=torch.float64)[:, None]
    picks, distances = farthest_first(points, points[:1], 300)
    assert (distances[1:] <= distances[:-1] + 1e-12).all()
    left = nearest_distances(points, torch.cat([points[:1], points[picks]]))
    assert left.max() <= distances[-1]
