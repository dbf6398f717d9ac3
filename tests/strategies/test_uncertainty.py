"""Margin, entropy and least confidence where classes are one, or their order is all that differs."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.numerics import uncertainty


@pytest.mark.parametrize("name", ["margin", "entropy", "least_confidence"])
def test_one_class_is_certain(name):
    choose = registry.build("strategy", {"name": name})
    ours = choose(view(ArraySignals(probs=np.ones((6, 1))), 6, [1]), 3)
    assert ours.indices.tolist() == [0, 2, 3]
    assert ours.scores.tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [3, 17, 100])
def test_the_order_of_the_classes_breaks_no_tie(dtype, classes, monkeypatch):
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.dirichlet(np.ones(classes), 5)).to(dtype)
    turned = torch.cat([rows[:, torch.from_numpy(rng.permutation(classes))] for _ in range(20)])
    monkeypatch.setattr(uncertainty, "BLOCK", 7)
    for measure in uncertainty.MEASURES.values():
        assert len(measure(turned).view(20, 5).unique(dim=0)) == 1
