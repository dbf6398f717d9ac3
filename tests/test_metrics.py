"""Metrics against scikit-learn and against sums written out by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from alrun import metrics


@pytest.fixture(params=range(5))
def case(request) -> tuple[np.ndarray, np.ndarray, int]:
    rng = np.random.default_rng(request.param)
    n_classes = int(rng.integers(2, 8))
    return rng.standard_normal((200, n_classes)) * 3, rng.integers(0, n_classes, 200), n_classes


def test_agrees_with_scikit_learn(case):
    logits, labels, n_classes = case
    predicted, every = logits.argmax(axis=1), list(range(n_classes))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = metrics.evaluate(logits, labels, n_classes)
    assert found["test/accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert found["test/balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert found["test/macro_f1"] == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    assert found["test/nll"] == pytest.approx(sk.log_loss(labels, probs, labels=every))
    one_hot = np.eye(n_classes)[labels]
    assert found["test/brier"] == pytest.approx(((probs - one_hot) ** 2).sum(axis=1).mean())
    recalls = sk.recall_score(labels, predicted, labels=every, average=None)
    assert [found[f"test/recall/{c}"] for c in every] == pytest.approx(list(recalls))


def test_classes_absent_from_the_test_split_are_left_out():
    logits = np.eye(4)[[0, 0, 3, 1]]  # class 3 is predicted once and never true, class 2 is neither
    found = metrics.evaluate(logits, np.array([0, 1, 1, 1]), 4)
    assert found["test/balanced_accuracy"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["test/macro_f1"] == pytest.approx((2 / 3 + 2 / 4) / 2)
    assert found["test/recall/2"] is None and found["test/recall/3"] is None


def test_values_are_plain_and_never_nan(case):
    logits, labels, n_classes = case
    for found in (metrics.evaluate(logits.astype(np.float32), labels, n_classes), metrics.evaluate([], [], n_classes)):
        assert {type(value) for value in found.values()} <= {float, type(None)}
        json.dumps(found, allow_nan=False)
    assert all(value is None for value in found.values())


def test_huge_logits_give_a_finite_nll_and_entropy():
    logits = np.array([[1e4, -1e4], [1e30, 0.0]])
    assert metrics.nll(logits, [1, 0]) == pytest.approx(1e4)
    assert metrics.mean_entropy(logits) == pytest.approx(0)


def test_entropy_of_nothing_known_is_log_classes():
    assert metrics.mean_entropy(np.zeros((3, 7))) == pytest.approx(np.log(7))
    assert metrics.mean_entropy(np.zeros((0, 7))) is None


def test_ece_by_hand():
    # Edges belong to the bin below: 1/15 and 0.05 share the first one, 1.0 is in the last.
    confidence, correct = np.array([1 / 15, 0.05, 0.5, 1.0]), np.array([1, 0, 1, 1])
    first = abs(1 - (1 / 15 + 0.05))
    assert metrics.ece(confidence, correct) == pytest.approx((first + 0.5 + 0) / 4)
    assert metrics.ece(np.array([]), np.array([])) is None


def test_ece_against_a_loop_over_bins(case):
    logits, labels, _ = case
    probs = np.exp(metrics.log_softmax(logits))
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    total = 0.0
    for low, high in zip(np.linspace(0, 1, 16)[:-1], np.linspace(0, 1, 16)[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert metrics.ece(confidence, correct) == pytest.approx(total)


def test_errors_on_a_scale_agree_with_libraries(case):
    from scipy.stats import spearmanr

    logits, labels, n_classes = case
    levels = np.sort(np.random.default_rng(0).uniform(0, 10, n_classes))
    values = levels[labels] + np.random.default_rng(1).normal(size=len(labels))
    found = metrics.evaluate(logits, labels, n_classes, levels, values)
    probs = np.exp(metrics.log_softmax(logits))
    kappa = sk.cohen_kappa_score(labels, logits.argmax(axis=1), weights="quadratic", labels=list(range(n_classes)))
    assert found["test/qwk"] == pytest.approx(kappa)
    assert found["test/rmse"] == pytest.approx(sk.root_mean_squared_error(values, probs @ levels))
    assert found["test/spearman"] == pytest.approx(spearmanr(probs @ levels, values).statistic)
    assert metrics.spearman(logits.argmax(axis=1), labels) == pytest.approx(
        spearmanr(logits.argmax(axis=1), labels).statistic
    )  # ties
    loss = np.abs(levels[:, None] - levels) @ probs.T  # (C said, n) expected absolute error of each answer
    assert found["test/mae"] == pytest.approx(np.abs(levels[loss.argmin(axis=0)] - values).mean())


def test_errors_on_a_scale_by_hand():
    probs = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [0.1, 0.2, 0.7]])
    levels, values = np.array([1.0, 2.0, 4.0]), np.array([1.0, 4.0, 5.0])
    found = metrics.graded(probs, [0, 2, 2], [0, 2, 2], levels, values)
    assert metrics.median(probs).tolist() == [0, 1, 2]  # half is enough, also where a sum of floats misses it
    assert found["test/mae"] == pytest.approx((0 + 2 + 1) / 3)
    expected = np.array([1.5, 2.8, 3.3])
    assert found["test/rmse"] == pytest.approx(np.sqrt(((expected - values) ** 2).mean()))
    assert found["test/spearman"] == pytest.approx(1) and found["test/qwk"] == pytest.approx(1)


def test_kappa_by_hand():
    # one of four is off by two: observed 4 / 4 = 1; chance: (0, 2) and (2, 0) with 3/4 * 1/2 and 1/4 * 1/2, times 4
    assert metrics.quadratic_kappa([0, 0, 0, 2], [0, 0, 2, 2], 3) == pytest.approx(1 - 1 / (4 * (3 / 8 + 1 / 8)))
    assert metrics.quadratic_kappa([1, 1], [0, 2], 3) == pytest.approx(0)
    assert metrics.quadratic_kappa([1, 1], [1, 1], 3) is None and metrics.quadratic_kappa([], [], 3) is None


def test_correlation_of_a_constant_is_undefined():
    assert metrics.spearman([1.0, 1.0 + 1e-15], [1, 2]) is None and metrics.spearman([], []) is None
    assert metrics.spearman([1, 2, 3], [6, 4, 2]) == pytest.approx(-1)
    assert metrics.graded(np.zeros((0, 2)), [], [], [1, 2], []) == dict.fromkeys(
        ("test/mae", "test/rmse", "test/qwk", "test/spearman")
    )


def test_area_under_curve():
    assert metrics.area_under_curve([0, 1, 3], [0.0, 1.0, 1.0]) == pytest.approx((0.5 + 2) / 3)
    assert metrics.area_under_curve([4], [0.25]) == 0.25
    assert metrics.area_under_curve([], []) is None
    assert metrics.area_under_curve([0, 1], [0.5, None]) is None
    with pytest.raises(ValueError, match="must increase"):
        metrics.area_under_curve([0, 0], [1.0, 1.0])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), min_size=2, max_size=20), st.integers(1, 5))
def test_area_is_a_mean_and_does_not_depend_on_the_unit(steps, unit):
    x, y = np.cumsum([step for step, _ in steps]), [height for _, height in steps]
    area = metrics.area_under_curve(x, y)
    assert min(y) - 1e-12 <= area <= max(y) + 1e-12
    assert area == pytest.approx(metrics.area_under_curve(x * unit, y))
    assert area == pytest.approx(np.trapezoid(y, x) / (x[-1] - x[0]))
