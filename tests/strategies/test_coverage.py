"""Lazy greedy coverage against the sum that defines it."""

import math

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from hypothesis import given, settings
from hypothesis import strategies as st

from alrun import registry
from alrun.numerics import bounds, coverage
from alrun.numerics.coverage import Greedy, covered_by
from alrun.numerics.distances import smallest_distance, unit_rows
from alrun.numerics.kernels import Kernel, similarity
from alrun.numerics.rows import Rows
from alrun.strategies.herding import take

SMOOTH = [kernel for kernel in Kernel if kernel is not Kernel.tophat]


def similarities(x: torch.Tensor, kernel: Kernel, sigma: float) -> torch.Tensor:
    unit = unit_rows(x)
    return similarity((unit[:, None] - unit).square().sum(2), kernel, sigma)


def brute(near: torch.Tensor, weights: torch.Tensor, centres: list[int], n: int) -> tuple[list[int], list[float]]:
    """Greedy by definition; ties within rounding to the lowest position."""
    covered = near[:, centres].amax(1) if centres else torch.zeros(len(near), dtype=torch.float64)
    picks, scores = [], []
    for _ in range(n):
        gains = weights @ (near - covered[:, None]).clamp(min=0)
        gains[picks + centres] = -1
        pick = int((gains >= gains.max() - 1e-11).nonzero()[0])
        picks.append(pick)
        scores.append(float(gains[pick]))
        covered = torch.maximum(covered, near[:, pick])
    return picks, scores


def cases(seed: int, n: int, width: int, duplicates: bool) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, width))
    if duplicates:
        x[n // 2 :] = x[: n - n // 2]
    return torch.from_numpy(x)


def run(x, kernel, sigma, weights, n, *, block=8, leaders=4, tile=8, per_item=256, centres=()):
    rows = Rows(x, kernel, sigma, block=block)
    covered = covered_by(rows, unit_rows(x[list(centres)]))
    greedy = Greedy(rows, weights, covered, leaders=leaders, tile=tile, per_item=per_item)
    for centre in centres:
        greedy.bound[centre] = -1
    picks, gains = zip(*(greedy.pick() for _ in range(n)), strict=True)
    return list(picks), list(gains)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(4, 40),
    width=st.integers(2, 6),
    duplicates=st.booleans(),
    kernel=st.sampled_from(list(Kernel)),
    sigma=st.sampled_from([0.02, 0.3, 1.0, 5.0]),
    per_item=st.sampled_from([0, 2, 256]),
    leaders=st.sampled_from([1, 4]),
    labelled=st.integers(0, 2),
    zero_weights=st.booleans(),
)
def test_picks_and_gains_are_those_of_brute_force(
    seed, n, width, duplicates, kernel, sigma, per_item, leaders, labelled, zero_weights
):
    x = cases(seed, n, width, duplicates)
    weights = torch.from_numpy(np.random.default_rng(seed + 1).random(n))
    if zero_weights:
        weights[::2] = 0
    centres = list(range(labelled))
    count = n - labelled
    picks, gains = run(x, kernel, sigma, weights, count, per_item=per_item, leaders=leaders, centres=centres)
    expected, scores = brute(similarities(x, kernel, sigma), weights, centres, count)
    np.testing.assert_allclose(gains, scores, rtol=1e-8, atol=1e-10)
    assert picks == expected or np.ptp(scores) < 1e-9 or min(np.abs(np.diff(scores))) < 1e-9
    assert (np.diff(gains) <= 1e-9).all(), "gains never increase"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", SMOOTH)
@pytest.mark.parametrize("centres", [[], [3, 40, 77]], ids=["none", "three"])
def test_no_size_of_a_block_matters(dtype, kernel, centres):
    x = cases(5, 120, 8, False).to(dtype)
    weights = torch.ones(120, dtype=torch.float64)
    sizes = [(8, 4, 8, 256), (512, 64, 512, 256), (16, 1, 32, 0), (7, 3, 5, 10)]
    runs = [
        run(x, kernel, 0.7, weights, 30, block=b, leaders=m, tile=t, per_item=p, centres=centres)
        for b, m, t, p in sizes
    ]
    for picks, gains in runs[1:]:
        assert picks == runs[0][0]
        np.testing.assert_allclose(gains, runs[0][1], rtol=1e-9)


@pytest.mark.parametrize("per_item", [0, 256], ids=["columns", "lists"])
@pytest.mark.parametrize("better", [None, 37], ids=["all alike", "one is better"])
def test_many_equal_candidates_are_computed_together(per_item, better, monkeypatch):
    """Points at right angles gain alike, up to rounding; all of them have to be looked at, but not one by one."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((60, 60)))[0]  # so that rounding is not alike
    x = torch.from_numpy(turn)
    weights = torch.ones(60, dtype=torch.float64)
    if better is not None:
        weights[better] += 1e-9
    alone = []
    exact = Greedy._exact
    monkeypatch.setattr(Greedy, "_exact", lambda self, *given: alone.append(1) or exact(self, *given))
    picks, gains = run(x, Kernel.rbf, 1.0, weights, 12, per_item=per_item, leaders=16)
    first = [] if better is None else [better]
    assert picks == [*first, *(i for i in range(60) if i not in first)][:12]
    np.testing.assert_allclose(gains, brute(similarities(x, Kernel.rbf, 1.0), weights, [], 12)[1], rtol=1e-8)
    assert len(alone) <= 12 * (coverage.ALONE + 1)


def test_nothing_to_gain_goes_to_the_lowest_positions():
    x = torch.ones(6, 3).repeat(3, 1)
    picks, gains = run(x, Kernel.rbf, 1.0, torch.ones(18, dtype=torch.float64), 5)
    assert picks == [0, 1, 2, 3, 4]
    assert gains == [18.0, 0.0, 0.0, 0.0, 0.0]


def test_without_weights_the_lowest_positions():
    picks, gains = run(cases(0, 12, 3, False), Kernel.rbf, 1.0, torch.zeros(12, dtype=torch.float64), 4)
    assert picks == [0, 1, 2, 3]
    assert gains == [0.0] * 4


@pytest.mark.parametrize("kernel", list(Kernel))
def test_a_bound_is_never_below_the_truth(kernel):
    x = cases(2, 300, 32, True).float()
    for sigma in (0.05, 0.5, 20.0):
        rows = Rows(x, kernel, sigma, block=64)
        truth = rows.exact(slice(0, 300), rows.unit(slice(0, 300), torch.float64))
        assert (
            rows.upper(slice(0, 300), slice(0, 300)).double() >= truth * rows.low - 1e-37
        ).all()  # float32 underflows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", list(Kernel))
def test_whatever_is_better_covered_is_within_the_limit(kernel, dtype):
    x = cases(3, 200, 8, True).to(dtype)
    x[7] = 0
    every = slice(0, 200)
    for sigma in (0.05, 0.5, 20.0):
        rows = Rows(x, kernel, sigma, block=64)
        truth = rows.exact(every, rows.unit(every, torch.float64))
        covered = truth[:, 5:9].amax(1)
        covered[::3], covered[1::3] = 0, truth[1::3, 10]
        low = (covered * rows.low).to(rows.dtype)
        assert (rows.apart(every, every) < rows.limit(low))[truth > covered].all()
        assert not (rows.apart(every, every) < rows.limit(torch.full_like(low, torch.inf))).any()


def test_a_row_of_zeros_has_no_direction():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    rows = Rows(x, Kernel.rbf, 1.0, block=4)
    near = rows.exact(slice(0, 3), rows.unit(slice(0, 3), torch.float64))
    e = np.exp(-1)
    np.testing.assert_allclose(near, [[1, e, 1], [e, 1, e], [1, e, 1]], rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 60), block=st.sampled_from([3, 16, 100]))
def test_smallest_distance_ignores_equal_rows(seed, n, block):
    x = cases(seed, n, 5, n > 3).float()
    unit = unit_rows(x)
    direct = (unit[:, None] - unit).square().sum(2).sqrt()
    positive = direct[direct > 0]
    expected = positive.min().item() if len(positive) else np.inf
    assert smallest_distance(unit, block=block) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_memo_is_dropped_when_the_pool_or_the_kernel_is_another(dtype):
    x = np.random.default_rng(0).standard_normal((200, 6)).astype(dtype)
    other = np.random.default_rng(1).standard_normal((200, 6)).astype(dtype)
    memo: dict = {}

    def ask(features, sigma, labelled, kept):
        choose = registry.build("strategy", {"name": "maxherding", "kernel": "rbf", "sigma": sigma})
        return choose(view(ArraySignals(features=features), 200, labelled, memo=kept), 10).indices.tolist()

    first = ask(x, 0.5, [], memo)
    assert ask(x, 0.5, first, memo) == ask(x, 0.5, first, {})
    assert ask(x, 0.9, first, memo) == ask(x, 0.9, first, {})
    assert ask(other, 0.9, first, memo) == ask(other, 0.9, first, {})
    assert ask(other, 0.9, [7, 8], memo) == ask(other, 0.9, [7, 8], {})
    assert ask(other, 0.9, [8, 7, 100, 101], memo) == ask(other, 0.9, [8, 7, 100, 101], {})


@pytest.mark.parametrize(("per_item", "fits"), [(8, True), (0, False)])
def test_what_hardly_covers_takes_no_room_and_no_time(monkeypatch, per_item, fits):
    """With a narrow kernel all similarities but a few are next to nothing: lists hold the few, and fit at once."""
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((1500, 24))).float()
    weights = torch.from_numpy(np.random.default_rng(1).random(1500))
    tried = []
    monkeypatch.setattr(coverage, "listed", lambda *given: tried.append(1) or bounds.listed(*given))
    monkeypatch.setattr(Greedy, "_lists_fit", lambda self: True)  # wrongly, if there is no room at all
    rows, covered = Rows(x, Kernel.rbf, 0.1, block=512), torch.zeros(1500, dtype=torch.float64)
    greedy = Greedy(rows, weights, covered, leaders=64, tile=256, per_item=per_item)
    picks = [greedy.pick()[0] for _ in range(200)]
    assert (greedy.reach is not None) == fits
    assert len(tried) <= 12  # of 200 picks: vain attempts become rarer
    assert picks == weights.argsort(descending=True)[:200].tolist()  # each covers itself alone


def test_many_equal_scores_add_up():
    class Equal:
        """Points at right angles: each pick covers itself and nothing else better."""

        def __init__(self):
            self.left = iter(range(700))

        def pick(self):
            return next(self.left), 1 - math.exp(-2)

    scores = take(Equal(), torch.arange(700), 600, view(ArraySignals(), 700), {}).scores
    assert float(scores.sum()) == pytest.approx(600 / 700 * (1 - math.exp(-2)), abs=1e-7)
