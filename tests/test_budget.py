"""Phases become batches, and batches fit into the pool."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alrun.budget import fit, initial_size, schedule
from alrun.config import BudgetConfig, Initial, Phase, Unit
from alrun.errors import UserError

REGIMES = [Phase(2, 5), Phase(10, 9), Phase(100, 9)]


def test_labels_count_in_classes() -> None:
    assert schedule(BudgetConfig(phases=[Phase(2, 3)]), 10, 500) == [20, 20, 20]
    assert schedule(BudgetConfig(phases=[Phase(2, 3)], unit=Unit.labels), 10, 500) == [2, 2, 2]


def test_percent_of_the_pool() -> None:
    five = BudgetConfig(phases=[Phase(5, 1), Phase(90, 1)], unit=Unit.percent, initial=Initial.random, initial_labels=5)
    assert schedule(five, 2, 399) == [19, 359]
    assert initial_size(five, 2, 399) == 19
    with pytest.raises(UserError, match="5 percent of 19 items is none"):
        schedule(five, 2, 19)


def test_regimes_are_those_of_the_paper() -> None:
    batches = schedule(BudgetConfig(phases=REGIMES), 10, 50_000)
    points = [sum(batches[: k + 1]) for k in range(len(batches))]
    assert points[:5] == [20, 40, 60, 80, 100]
    assert points[5:14] == [200, 300, 400, 500, 600, 700, 800, 900, 1000]
    assert points[14:] == [2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000]


def test_the_start() -> None:
    assert initial_size(BudgetConfig(), 7, 500) == 0
    assert initial_size(BudgetConfig(initial=Initial.one_per_class), 7, 500) == 7
    assert initial_size(BudgetConfig(initial=Initial.random, initial_labels=3), 7, 500) == 21
    assert initial_size(BudgetConfig(initial=Initial.random, initial_labels=3, unit=Unit.labels), 7, 500) == 3


def test_too_small_a_pool_is_refused_with_both_numbers() -> None:
    with pytest.raises(UserError, match="asks for 105 labels, the pool has 64 items") as caught:
        fit([20] * 5, 5, 64, clip=False)
    assert caught.value.hints == ("lower the cycles to 2, or budget.clip=true stops when the pool is used up",)


def test_clip_uses_the_pool_up() -> None:
    assert fit([20] * 5, 5, 64, clip=True) == [20, 20, 19]
    assert fit([20] * 2, 0, 40, clip=True) == [20, 20]
    assert fit([20], 50, 40, clip=True) == []


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(0, 60), st.integers(1, 600))
def test_what_fit_promises(batches: list[int], first: int, pool: int) -> None:
    served = fit(batches, first, pool, clip=True)
    assert all(size >= 1 for size in served)
    assert served[:-1] == batches[: len(served)][:-1]
    assert sum(served) == min(sum(batches), max(0, pool - first))
    if first + sum(batches) <= pool:
        assert served == fit(batches, first, pool, clip=False) == batches
    else:
        with pytest.raises(UserError, match=f"the pool has {pool} items"):
            fit(batches, first, pool, clip=False)
