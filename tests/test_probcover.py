"""ProbCover against counting, and the purity rule against trying every radius."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from hypothesis import given, settings
from hypothesis import strategies as st

from alrun import registry
from alrun.errors import UserError
from alrun.numerics.balls import Balls, greedy_balls
from alrun.numerics.purity import largest_pure_radius, other_class_distances, purity


@st.composite
def directions(draw) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Rows in few directions (twins, zero rows), labelled ones, a radius, a batch size."""
    size = draw(st.integers(2, 30))
    rows = draw(st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=size, max_size=size))
    labelled = draw(st.lists(st.integers(0, size - 1), unique=True, max_size=size - 1))
    radius = draw(st.sampled_from([0.05, 0.3, 0.61, 0.93, 1.37, 1.9]))
    return np.array(rows, float), np.array(labelled, dtype=np.int64), radius, draw(st.integers(1, size - len(labelled)))


def brute(rows: np.ndarray, labelled: np.ndarray, radius: float, n: int) -> tuple[list[int], list[int]]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(length > 0, length, 1)
    near = np.linalg.norm(unit[:, None] - unit[None], axis=2) < radius
    uncovered = ~near[labelled].any(0)
    picks: list[int] = []
    gains = []
    for _ in range(n):
        degree = (near & uncovered).sum(1)
        degree[[*labelled, *picks]] = -1
        picks.append(int(degree.argmax()))
        gains.append(int(degree.max()))
        uncovered &= ~near[picks[-1]]
    return picks, gains


def choose(rows: np.ndarray, labelled: np.ndarray, n: int, **options):
    strategy = registry.build("strategy", {"name": "probcover", "delta": None, "purity": 0.95, **options})
    return strategy(view(ArraySignals(features=rows), len(rows), labelled, n_classes=3), n)


@given(directions(), st.sampled_from([np.float64, np.float32]))
@settings(max_examples=150, deadline=None)
def test_picks_are_the_largest_degrees(case, dtype):
    rows, labelled, radius, n = case
    picks, gains = brute(rows, labelled, radius, n)
    ours = choose(rows.astype(dtype), labelled, n, delta=radius)
    assert ours.indices.tolist() == picks
    assert ours.scores.tolist() == gains


def test_covered_pools_are_taken_in_order():
    rows = np.ones((6, 2))
    ours = choose(rows, np.array([2]), 5, delta=0.5)
    assert ours.indices.tolist() == [0, 1, 3, 4, 5]
    assert ours.scores.tolist() == [0] * 5 and ours.notes["covered"] == 1


def test_the_order_of_the_pool_does_not_change_what_is_covered():
    rng = np.random.default_rng(0)
    rows, order = rng.normal(size=(80, 4)), rng.permutation(80)
    back = np.argsort(order)
    ours, shuffled = choose(rows, np.array([3]), 1, delta=0.7), choose(rows[order], back[[3]], 1, delta=0.7)
    assert ours.scores.tolist() == shuffled.scores.tolist()


@given(st.integers(0, 10_000), st.floats(0.01, 1), st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_the_pure_radius_is_the_largest(seed, threshold, size):
    rng = np.random.default_rng(seed)
    points = torch.from_numpy(rng.normal(size=(size, 3)))
    points = points / points.norm(dim=1, keepdim=True)
    classes = torch.from_numpy(rng.integers(3, size=size))
    if len(classes.unique()) < 2:
        return
    near = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    other = classes[:, None] != classes
    distances = other_class_distances(points, classes, block=4)
    radius = largest_pure_radius(distances, threshold)

    def share(r: float) -> float:
        return (~((near < r) & other).any(1)).double().mean().item()

    for r in [radius, radius * (1 + 1e-6), radius * (1 - 1e-6), 0.1, 0.9]:
        if abs(r / radius - 1) > 1e-9:
            assert purity(distances, r) == pytest.approx(share(r))
    assert purity(distances, radius) >= threshold - 1e-9
    assert purity(distances, radius * (1 + 1e-9)) < threshold


def test_one_class_is_pure_everywhere():
    points = torch.eye(3, dtype=torch.float64)
    assert other_class_distances(points, torch.zeros(3, dtype=torch.int64)).isinf().all()
    assert choose(np.eye(4)[:, :3], np.array([], int), 2, purity=0.5).notes["delta"] <= 2


def test_the_purity_rule_finds_the_gap_between_groups():
    rng = np.random.default_rng(0)
    rows = np.eye(3)[np.arange(90) % 3] + 0.02 * rng.normal(size=(90, 3))
    ours = choose(rows, np.array([], int), 3)
    assert 1.2 < ours.notes["delta"] < 1.5 and ours.notes["covered"] == 1
    assert sorted(ours.indices.numpy() % 3) == [0, 1, 2]


@pytest.mark.parametrize(("options", "said"), [({"delta": 0.0}, "delta=0"), ({"purity": 0.0}, "purity=0")])
def test_values_that_make_no_sense_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        choose(np.eye(3), np.array([], int), 1, **options)


@given(directions(), st.sampled_from([1, 3, 8, 64]), st.sampled_from([0, 20, 10_000]))
@settings(max_examples=100, deadline=None)
def test_neither_blocks_nor_kept_neighbours_change_a_pick(case, block, capacity):
    rows, covered, radius, n = case
    start = torch.zeros(len(rows), dtype=torch.bool)
    start[torch.from_numpy(covered)] = True
    wanted = greedy_balls(Balls(torch.from_numpy(rows), radius, block=1024), start, n, capacity=10_000)
    balls = Balls(torch.from_numpy(rows), radius, block=block)
    assert greedy_balls(balls, start, n, capacity=capacity) == wanted


def test_pairs_on_the_edge_of_a_ball_are_settled_in_double_precision():
    angles = torch.linspace(0, 3, 400, dtype=torch.float64)
    rows = torch.stack([angles.cos(), angles.sin()], 1)
    exact = torch.linalg.vector_norm(rows[:, None] - rows[None], dim=2)
    everyone = torch.arange(400)
    for change in (-1e-12, 1e-12):  # 340 pairs are this close to the radius
        radius = exact[10, 60].item() * (1 + change)
        assert torch.equal(Balls(rows, radius, block=128).inside(everyone, everyone), exact < radius)
