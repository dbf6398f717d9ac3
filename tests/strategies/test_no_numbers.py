"""Signals that are no numbers end a strategy at once; it neither goes on for ever nor returns fewer items."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from test_contract import choose

from alrun.numerics.ranking import highest


@pytest.mark.parametrize("rows", [slice(9, 10), slice(None)])
@pytest.mark.parametrize("name", ["entropy", "margin", "least_confidence", "kmedoids"])
def test_the_strategy_says_so(name: str, rows: slice) -> None:
    rng = np.random.default_rng(0)
    features, probs = rng.standard_normal((30, 4)), rng.dirichlet(np.ones(3), 30)
    features[rows] = probs[rows] = np.nan
    with pytest.raises(ArithmeticError, match=r"no numbers|not finite"):
        choose(name)(view(ArraySignals(features=features, probs=probs), 30, [4, 7, 1]), 7)


def test_infinite_scores_have_an_order() -> None:
    assert highest(torch.tensor([1.0, -torch.inf, torch.inf, 1.0]), 3).tolist() == [2, 0, 3]
