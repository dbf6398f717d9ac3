"""Regression to ratings: the closed forms against other ways to the same numbers, and what happens at the edges."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from alrun.errors import UserError
from alrun.models.material import Material, unit
from alrun.models.ridge import fit, ridge

LEVELS = torch.tensor([1.0, 2.0, 3.0, 5.0], dtype=torch.float64)
RNG = np.random.default_rng(0)


def material(levels=LEVELS, n: int = 60, width: int = 7) -> Material:
    rows = torch.from_numpy(np.random.default_rng(3).normal(size=(n, width)).astype(np.float32))
    return Material({"pool": rows, "target": rows[:5], "test": rows[5:9]}, 4, torch.device("cpu"), levels=levels)


def learn(idx: list[int], labels: list[int], penalty: float = 0.7):
    learner = ridge(material(), penalty=penalty, initial=0.01)
    return learner(torch.tensor(idx, dtype=torch.int64), torch.tensor(labels, dtype=torch.int64), RNG)


def standardised() -> torch.Tensor:
    return (LEVELS - LEVELS.mean()) / LEVELS.std(correction=0)


@pytest.mark.parametrize("shape", [(30, 6), (4, 9)])
def test_the_fit_is_ridge_regression(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    points, targets = rng.normal(size=shape), rng.normal(size=shape[0])
    weights, variance = fit(torch.from_numpy(points), torch.from_numpy(targets), 0.5)
    other = Ridge(0.5, fit_intercept=False).fit(points, targets)
    np.testing.assert_allclose(weights, other.coef_, atol=1e-10)
    missed = []
    for i in range(shape[0]):
        others = np.arange(shape[0]) != i
        without = Ridge(0.5, fit_intercept=False).fit(points[others], targets[others])
        missed.append(targets[i] - without.predict(points[i : i + 1])[0])
    assert float(variance) == pytest.approx((1 + np.square(missed).sum()) / (1 + shape[0]))


def test_logits_are_those_of_a_normal_around_the_prediction() -> None:
    idx, labels = list(range(20)), [i % 4 for i in range(20)]
    found = learn(idx, labels)
    rows = torch.arange(60)
    centred = unit(material().features["pool"]).double()
    centred = centred - centred.mean(dim=0)
    design = torch.cat([centred, torch.ones(60, 1)], dim=1)
    weights, variance = fit(design[:20], standardised()[labels], 0.7)
    density = torch.distributions.Normal((design @ weights)[:, None], variance.sqrt()).log_prob(standardised())
    logits, embeddings = found.outputs("pool", rows)
    torch.testing.assert_close(logits.softmax(1).double(), density.softmax(1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(embeddings @ found.head().weight.T + found.head().bias, logits)
    assert found.notes["deviation"] == pytest.approx(float(variance.sqrt() * LEVELS.std(correction=0)))
    assert found.loss == pytest.approx(-float(density.log_softmax(1)[range(20), labels].mean()), rel=1e-4)


def test_before_there_are_labels_nothing_is_known_but_the_scale() -> None:
    found = learn([], [])
    probs = found.outputs("test", torch.arange(4)).logits.softmax(1)
    prior = (-standardised().square() / 2).softmax(0).float()
    torch.testing.assert_close(probs, prior.expand(4, -1), atol=0.02, rtol=0)
    assert found.loss != found.loss and len(set(probs[:, 0].tolist())) == 4


@pytest.mark.parametrize("labels", [[2], [1] * 6, [0, 3], [3] * 30])
def test_few_labels_and_one_level_alone_are_no_special_case(labels: list[int]) -> None:
    found = learn(list(range(len(labels))), labels)
    logits = found.outputs("pool", torch.arange(60)).logits
    assert torch.isfinite(logits).all() and found.notes["deviation"] > 0
    assert found.loss > 0


def test_more_labels_of_one_level_make_it_surer() -> None:
    few, many = (learn(list(range(n)), [3] * n) for n in (2, 40))
    probs = [found.outputs("test", torch.arange(4)).logits.softmax(1)[:, 3] for found in (few, many)]
    assert (probs[1] > probs[0]).all()
    assert many.notes["deviation"] < few.notes["deviation"]


def test_names_of_classes_are_refused() -> None:
    with pytest.raises(UserError, match=r"labels of this dataset name classes") as caught:
        ridge(material(levels=None), penalty=1.0, initial=0.01)
    assert "dataset.task=ordinal" in caught.value.hints[0]
    with pytest.raises(UserError, match=r"model.penalty=0"):
        ridge(material(), penalty=0, initial=0.01)
