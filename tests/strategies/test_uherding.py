"""UHerding's adaptation to the labels."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.numerics.calibration import calibration_error

OPTIONS = {
    "name": "uherding",
    "uncertainty": "margin",
    "kernel": "rbf",
    "sigma": 0.8,
    "adaptive_sigma": True,
    "calibration": "newest",
}
N, C = 50, 3
RNG = np.random.default_rng(0)
FEATURES, LOGITS = RNG.standard_normal((N, 4)), 5 * RNG.standard_normal((N, C))


def ask(labelled, n=5, features=FEATURES, **options):
    asked = []

    def refit(idx):
        asked.append(idx.tolist())
        return ArraySignals(logits=LOGITS)

    signals = ArraySignals(features=features, logits=LOGITS, refit=refit)
    choose = registry.build("strategy", {**OPTIONS, **options})
    return choose(view(signals, N, labelled, [item % C for item in labelled], C), n), asked


def test_no_labels_is_maxherding():
    plain = registry.build("strategy", {"name": "maxherding", "kernel": "rbf", "sigma": 0.8})
    expected = plain(view(ArraySignals(features=FEATURES), N), 5)
    ours, asked = ask([])
    assert ours.indices.tolist() == expected.indices.tolist()
    assert ours.notes == {"sigma": 0.8, "temperature": 1.0}
    assert not asked


@pytest.mark.parametrize("labelled", [[4], [4, 9, 30]])
def test_below_four_labels_the_temperature_is_one(labelled):
    ours, asked = ask(labelled)
    assert ours.notes["temperature"] == 1.0
    assert not asked


def test_the_newest_third_is_held_out():
    _, asked = ask([9, 3, 40, 12, 7, 8, 1, 30, 22, 11])
    assert asked == [[9, 3, 40, 12, 7, 8, 1]]


def test_a_random_split_is_another_of_the_same_size():
    labelled = [9, 3, 40, 12, 7, 8, 1, 30, 22, 11]
    _, asked = ask(labelled, calibration="random")
    assert len(asked[0]) == 7 and set(asked[0]) < set(labelled)


def test_overconfident_logits_are_softened():
    ours, _ = ask(list(range(40)))
    assert 1 < ours.notes["temperature"] < 20


def test_sigma_is_the_smallest_distance_between_different_labelled_points():
    features = FEATURES.copy()
    features[1:30] = features[0]  # one direction, many times
    features[30] = 2 * features[0]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for dtype in (np.float32, np.float64):
        ours, _ = ask([*range(31), 44], features=features.astype(dtype))
        assert ours.notes["sigma"] == pytest.approx(np.linalg.norm(unit[0] - unit[44]), rel=1e-6)
        assert ask(list(range(31)), features=features.astype(dtype))[0].notes["sigma"] == 0.8
    assert ask([3, 44], adaptive_sigma=False)[0].notes["sigma"] == 0.8


def test_certain_items_are_worth_nothing():
    sure = LOGITS.copy()
    sure[:] = [1000.0, 0, 0]
    signals = ArraySignals(features=FEATURES, logits=sure)
    choose = registry.build("strategy", {**OPTIONS, "calibration": "none"})
    ours = choose(view(signals, N, [0, 7], [0, 1], C), 4)
    assert ours.indices.tolist() == [1, 2, 3, 4]
    assert torch.equal(ours.scores, torch.zeros(4, dtype=torch.float64))


def test_bins_are_open_on_the_left():
    confidence, correct = np.array([0.5, 0.5, 1.0, 0.75]), np.array([True, False, True, False])
    # (0, 0.5]: accuracy 0.5, confidence 0.5; (0.5, 1]: accuracy 0.5, confidence 0.875
    assert calibration_error(confidence, correct, 2) == pytest.approx(0.375 / 2)
