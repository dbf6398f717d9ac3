"""k-medoids: a local optimum by definition, at least as good as greedy."""

import itertools

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alrun import registry
from alrun.numerics.distances import unit_rows
from alrun.numerics.kernels import Kernel, similarity
from alrun.numerics.medoids import Medoids
from alrun.numerics.rows import Rows


def near(x: torch.Tensor, kernel: Kernel, sigma: float) -> torch.Tensor:
    unit = unit_rows(x)
    return similarity((unit[:, None] - unit).square().sum(2), kernel, sigma)


def value(k: torch.Tensor, weights: torch.Tensor, base: torch.Tensor, picks) -> float:
    return float(weights @ torch.maximum(base, k[:, list(picks)].amax(1)))


@settings(deadline=None, max_examples=40)
@example(seed=0, n=20, count=2, kernel=Kernel.rbf, sigma=1.0, blocks=(3, 2), twins=False, covered=False)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(3, 24),
    count=st.integers(1, 5),
    kernel=st.sampled_from([Kernel.rbf, Kernel.laplace, Kernel.tophat, Kernel.student_t]),
    sigma=st.sampled_from([0.2, 1.0]),
    blocks=st.sampled_from([(3, 2), (100, 100), (8, 5)]),
    twins=st.booleans(),
    covered=st.booleans(),
)
def test_no_swap_is_left_and_every_swap_helped(seed, n, count, kernel, sigma, blocks, twins, covered):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.standard_normal((n, 3)))
    if twins:
        x[n // 2 :] = x[: n - n // 2].clone()
    count = min(count, n)
    weights = torch.from_numpy(rng.random(n))
    base = torch.from_numpy(0.5 * rng.random(n)) if covered else torch.zeros(n, dtype=torch.float64)
    start = rng.choice(n, count, replace=False).tolist()
    found = Medoids(Rows(x, kernel, sigma, block=blocks[0]), weights, base, start, block=blocks[1])
    k = near(x, kernel, sigma)
    assert found.objective() == pytest.approx(value(k, weights, base, start), rel=1e-9)
    found.improve()
    picks = found.picks.tolist()
    best = value(k, weights, base, picks)
    assert len(set(picks)) == count
    assert found.objective() == pytest.approx(best, rel=1e-9)
    assert best >= value(k, weights, base, start) - 1e-9
    others = set(range(n)) - set(picks)
    swapped = [[*picks[:i], c, *picks[i + 1 :]] for i in range(count) for c in others]
    assert all(value(k, weights, base, other) <= best * (1 + 2e-7) + 1e-9 for other in swapped)
    without = [
        best - (value(k, weights, base, picks[:i] + picks[i + 1 :]) if count > 1 else float(weights @ base))
        for i in range(count)
    ]
    np.testing.assert_allclose(found.losses(), without, rtol=1e-7, atol=1e-9)


def run(name: str, x: np.ndarray, labelled: list[int], n: int, sigma: float = 0.7):
    choose = registry.build("strategy", {"name": name, "kernel": "rbf", "sigma": sigma})
    return choose(view(ArraySignals(features=x), len(x), labelled), n)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labelled", [[], [4, 9]], ids=["none", "two"])
def test_greedy_is_where_it_starts(dtype, labelled):
    x = np.random.default_rng(5).standard_normal((150, 4)).astype(dtype)
    ours, greedy = run("kmedoids", x, labelled, 8), run("maxherding", x, labelled, 8)
    k = near(torch.from_numpy(x), Kernel.rbf, 0.7)
    reached = float(k[:, [*labelled, *ours.indices.tolist()]].amax(1).mean())
    before = float(k[:, [*labelled, *greedy.indices.tolist()]].amax(1).mean())
    assert ours.notes["objective"] == pytest.approx(reached, rel=1e-6)
    assert ours.notes["greedy_objective"] == pytest.approx(before, rel=1e-6)
    assert reached > before and ours.notes["exchanges"] > 0
    assert (ours.scores.diff() <= 0).all()


def test_a_small_pool_is_often_solved_exactly():
    """The best of all pairs; greedy alone finds it less often."""
    hits = np.zeros(2)
    for seed in range(20):
        x = np.random.default_rng(seed).standard_normal((12, 2))
        k = near(torch.from_numpy(x), Kernel.rbf, 0.7)
        best = max(float(k[:, pair].amax(1).mean()) for pair in itertools.combinations(range(12), 2))
        notes = run("kmedoids", x, [], 2).notes
        hits += np.isclose([notes["greedy_objective"], notes["objective"]], best, rtol=1e-9)
    assert hits[1] > hits[0] and hits[1] >= 15


def test_all_alike():
    ours = run("kmedoids", np.ones((9, 2)), [0], 8)
    assert sorted(ours.indices.tolist()) == list(range(1, 9)) and ours.notes["exchanges"] == 0
