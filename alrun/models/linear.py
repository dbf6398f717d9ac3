"""Softmax regression on frozen features."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..registry import model
from ..types import Head, Learner, Outputs, Part, Predictor
from .material import Material, pool_mean, unit


@dataclass(frozen=True)
class Linear:
    """logits = (unit(x) - pool mean) @ weight.T"""

    material: Material
    mean: Tensor  # (F,)
    weight: Tensor  # (C, F)
    loss: float

    def outputs(self, part: Part, idx: Tensor) -> Outputs:
        """Embeddings are the centred unit features: what the only layer reads."""
        embeddings = unit(self.material.rows(part, idx)) - self.mean  # (n, F)
        return Outputs(embeddings @ self.weight.T, embeddings)

    def head(self) -> Head:
        """The layer, with a bias of zero."""
        return Head(self.weight, self.weight.new_zeros(len(self.weight)))


@model
def linear(material: Material, *, penalty: float, initial: float) -> Learner:
    """Softmax regression on unit features centred on the pool, without a bias, solved to convergence in float64.

    Minimises `sum of cross-entropies + penalty / 2 * ||weight||^2` (scikit-learn's C is 1 / penalty). All classes take
    part in the softmax: those without a label share one weight vector, which points away from what is labelled, so
    they split between them the probability of what looks like no labelled class. The minimum is unique: the generator
    matters only with no labels at all, when weights are normal with deviation `initial`.
    """
    mean = pool_mean(material)

    def learn(idx: Tensor, labels: Tensor, rng: np.random.Generator) -> Predictor:
        if len(idx) == 0:
            drawn = rng.standard_normal((material.n_classes, len(mean))) * initial  # (C, F)
            return Linear(material, mean, torch.as_tensor(drawn, dtype=torch.float32).to(mean.device), float("nan"))
        embeddings = (unit(material.rows("pool", idx)) - mean).double()  # (l, F)
        weight, loss = fit(embeddings, labels.to(mean.device), material.n_classes, penalty)
        return Linear(material, mean, weight.float(), loss)

    return learn


def fit(embeddings: Tensor, labels: Tensor, n_classes: int, penalty: float) -> tuple[Tensor, float]:
    """Weights (C, F) at the minimum, and the mean cross-entropy there in nats: Newton steps by conjugate gradients.

    The minimum lies in the span of the labelled points, so the search happens in their r <= min(l, F) principal
    directions, each scaled by the bound of Boehning (1992) on its curvature: few steps, whatever the penalty.
    """
    left, sizes, directions = torch.linalg.svd(embeddings, full_matrices=False)  # (l, r), (r,), (r, F)
    scale = (sizes.square() / 2 + penalty).rsqrt()  # (r,)
    points = left * (sizes * scale)  # (l, r)
    ridge = penalty * scale.square()  # (r,)
    truth = torch.nn.functional.one_hot(labels, n_classes).to(points)  # (l, C)
    weight = points.new_zeros(n_classes, len(sizes))  # (C, r)

    def objective(weight: Tensor) -> tuple[Tensor, Tensor]:
        logs = (points @ weight.T).log_softmax(dim=1)  # (l, C)
        return logs, (ridge * weight.square()).sum() / 2 - (truth * logs).sum()

    logs, value = objective(weight)
    for _ in range(200):
        probs = logs.exp()  # (l, C)
        gradient = (probs - truth).T @ points + ridge * weight  # (C, r)
        if gradient.norm() <= 1e-9 * len(points) ** 0.5:
            break
        step = _newton_step(points, probs, ridge, gradient)
        slope, length = (gradient * step).sum(), 1.0
        while True:  # a descent direction of a smooth function: some length is always short enough
            logs, lower = objective(weight + length * step)
            if lower <= value + 1e-4 * length * slope or length < 1e-10:
                break
            length /= 2
        weight, done, value = weight + length * step, bool(lower >= value), lower
        if done:  # rounding is all that is left
            break
    loss = -(truth * logs).sum() / len(points)
    return (weight * scale) @ directions, float(loss)


def _newton_step(points: Tensor, probs: Tensor, ridge: Tensor, gradient: Tensor) -> Tensor:
    """-Hessian^-1 @ gradient (C, r), as exactly as the distance to the minimum asks for."""
    step, residual = torch.zeros_like(gradient), -gradient
    direction, size = residual, residual.square().sum()
    enough = size * torch.clamp(size.sqrt(), max=0.01)
    for _ in range(500):
        moved = points @ direction.T  # (l, C)
        moved = probs * (moved - (probs * moved).sum(dim=1, keepdim=True))
        curved = moved.T @ points + ridge * direction  # (C, r)
        length = size / (direction * curved).sum()
        step, residual = step + length * direction, residual - length * curved
        size, before = residual.square().sum(), size
        if size <= enough:
            break
        direction = residual + (size / before) * direction
    return step
