"""Margin, entropy and least confidence where there is one class."""

import numpy as np
import pytest
from arrays import ArraySignals, view

from alrun import registry


@pytest.mark.parametrize("name", ["margin", "entropy", "least_confidence"])
def test_one_class_is_certain(name):
    choose = registry.build("strategy", {"name": name})
    ours = choose(view(ArraySignals(probs=np.ones((6, 1))), 6, [1]), 3)
    assert ours.indices.tolist() == [0, 2, 3]
    assert ours.scores.tolist() == [0, 0, 0]
