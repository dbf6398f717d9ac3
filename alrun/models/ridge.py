"""Regression to ratings on frozen features."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..errors import UserError
from ..needs import LAST_LAYER
from ..registry import model
from ..types import Learner, Predictor
from .limits import above_zero, at_least, finite
from .linear import Linear
from .material import Material, pool_mean, unit


@model(offers=LAST_LAYER)
def ridge(material: Material, *, penalty: float, initial: float) -> Learner:
    """Ridge regression on unit features centred on the pool, in closed form; class k has the density of its level.

    Levels are standardised to v_k (all levels equally likely: mean 0, deviation 1). With mu = x @ w + b, logits are
    -(v_k - mu)^2 / (2 s^2) but for a term that all classes share, so the model is a linear head and everything that is
    asked of one can be asked of it. The intercept b is the weight of one more feature, 1, with the same penalty: few
    labels move it little from the middle of the scale.

    s^2 is the mean squared error of predicting each labelled item by the others (in closed form), together with one
    made-up item of error 1, what is known before there are labels: s^2 is 1 then, and never 0. Labels on one level
    alone need no special case. The generator matters only with no labels at all, when w is normal with deviation
    `initial`.
    """
    if material.levels is None:
        raise UserError(
            "model 'ridge' predicts numbers, and the labels of this dataset name classes",
            "dataset.task=ordinal if they are numbers, else model=linear",
        )
    above_zero(penalty=penalty)
    at_least(0, initial=initial)
    finite(penalty=penalty, initial=initial)
    material.begin()
    mean = pool_mean(material)  # (F,)
    levels = material.levels.to(mean.device).double()  # (C,)
    scale = (levels - levels.mean()) / levels.std(correction=0)  # (C,)

    def learn(idx: Tensor, labels: Tensor, rng: np.random.Generator) -> Predictor:
        if len(idx) == 0:
            drawn = torch.as_tensor(rng.standard_normal(len(mean)) * initial).to(mean.device)  # (F,)
            return head(drawn, drawn.new_zeros(()), drawn.new_ones(()), float("nan"))
        points = (unit(material.rows("pool", idx)) - mean).double()  # (l, F)
        labels = labels.to(mean.device)
        weights, variance = fit(torch.cat([points, points.new_ones(len(points), 1)], dim=1), scale[labels], penalty)
        found = head(weights[:-1], weights[-1], variance, 0.0)
        logits = points @ found.weight.double().T + found.bias.double()  # (l, C)
        return head(weights[:-1], weights[-1], variance, float(cross_entropy(logits, labels)))

    def head(weight: Tensor, bias: Tensor, variance: Tensor, loss: float) -> Linear:
        return Linear(
            material,
            mean,
            (scale[:, None] * weight / variance).float(),
            ((scale * bias - scale.square() / 2) / variance).float(),
            loss,
            {"deviation": float(variance.sqrt() * levels.std(correction=0))},  # s, in the unit of the ratings
        )

    return learn


def fit(points: Tensor, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights (F,) that minimise `sum of squared errors + penalty * ||weights||^2`, and the variance around them.

    The error of item i when it is left out is its residual / (1 - h_i), h_i its leverage (Allen 1974). One item of
    error 1 joins their mean.
    """
    left, sizes, directions = torch.linalg.svd(points, full_matrices=False)  # (l, r), (r,), (r, F)
    shrunk = sizes.square() / (sizes.square() + penalty)  # (r,)
    along = left.T @ targets  # (r,)
    leverage = (left.square() * shrunk).sum(dim=1)  # (l,)
    missed = (targets - left @ (shrunk * along)) / (1 - leverage)  # (l,)
    weights = directions.T @ (sizes / (sizes.square() + penalty) * along)  # (F,)
    return weights, (1 + missed.square().sum()) / (1 + len(targets))
