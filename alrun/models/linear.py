"""Softmax regression on frozen features."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..registry import model
from ..types import Head, Learner, Outputs, Part, Predictor
from .material import Material, pool_mean, unit


@dataclass(frozen=True)
class Linear:
    """logits = (unit(x) - pool mean) @ weight.T + bias"""

    material: Material
    mean: Tensor  # (F,)
    weight: Tensor  # (C, F)
    bias: Tensor  # (C,)
    loss: float
    notes: Mapping[str, float] = field(default_factory=dict)

    def outputs(self, part: Part, idx: Tensor) -> Outputs:
        """Embeddings are the centred unit features: what the only layer reads."""
        embeddings = unit(self.material.rows(part, idx)) - self.mean  # (n, F)
        return Outputs(embeddings @ self.weight.T + self.bias, embeddings)

    def head(self) -> Head:
        """The only layer."""
        return Head(self.weight, self.bias)

    def network(self) -> None:
        """The head is all there is."""
        return None


@model
def linear(material: Material, *, penalty: float, initial: float) -> Learner:
    """Softmax regression on unit features centred on the pool, solved to convergence in float64.

    Minimises `sum of cross-entropies + penalty / 2 * mean over classes of ||weight of the class||^2`, so the pull on
    one class does not grow with the number of classes (scikit-learn's C is n_classes / penalty). No bias is fitted:
    with few labels it learns which class happened to be drawn more often. `geometric_bias` follows from the weights.

    All classes take part in the softmax. Those without a label share one weight vector, which points away from what
    is labelled: they split between them the probability of what looks like no labelled class. The minimum is unique,
    so the generator matters only with no labels at all, when weights are normal with deviation `initial`.
    """
    mean = pool_mean(material)

    def learn(idx: Tensor, labels: Tensor, rng: np.random.Generator) -> Predictor:
        if len(idx) == 0:
            drawn = rng.standard_normal((material.n_classes, len(mean))) * initial  # (C, F)
            weight = torch.as_tensor(drawn, dtype=torch.float32).to(mean.device)
            return Linear(material, mean, weight, weight.new_zeros(len(weight)), float("nan"))
        embeddings = (unit(material.rows("pool", idx)) - mean).double()  # (l, F)
        labels = labels.to(mean.device)
        exact = fit(embeddings, labels, material.n_classes, penalty / material.n_classes)  # (C, F)
        bias = geometric_bias(embeddings, labels, exact)  # (C,)
        loss = torch.nn.functional.cross_entropy(embeddings @ exact.T + bias, labels)
        return Linear(material, mean, exact.float(), bias.float(), float(loss))

    return learn


def geometric_bias(embeddings: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Bias (C,) that moves each boundary to the middle between two class means, as far as the weights are class means.

    Gaussian classes of equal spread have weights s * mean and biases -s / 2 * ||mean||^2 (linear discriminants).
    Weights of few labels are such means, and those of many labels are not: s is fitted, and the bias shrinks with the
    squared share of the weights that the means explain. Squared lengths are estimated without bias, from the spread
    within classes; with no class labelled twice it is unknown, and so is the bias: 0, as for a class without labels.
    """
    truth = torch.nn.functional.one_hot(labels, len(weight)).to(weight)  # (l, C)
    counts = truth.sum(dim=0)  # (C,)
    seen = counts > 0
    free = len(labels) - int(seen.sum())
    means = truth.T @ embeddings / counts.clamp(min=1)[:, None]  # (C, F)
    spread = (embeddings - means[labels]).square().sum() / max(1, free)
    lengths = means.square().sum(dim=1) - spread / counts.clamp(min=1)  # (C,)
    lengths = torch.where(seen, lengths - lengths[seen].mean(), 0.0)
    means = torch.where(seen[:, None], means - means[seen].mean(dim=0), 0.0)
    along, size = (weight * means).sum(), means.square().sum()
    if free == 0 or size * weight.square().sum() == 0:
        return torch.zeros_like(lengths)
    explained = along.square() / (size * weight.square().sum())
    return -0.5 * (along / size) * explained.square() * (free / len(labels)) * lengths


def fit(embeddings: Tensor, labels: Tensor, n_classes: int, penalty: float) -> Tensor:
    """Weights (C, F) at the minimum of `sum of cross-entropies + penalty / 2 * ||weight||^2`: Newton's method.

    The minimum lies in the span of the labelled points, so the search happens in their r <= min(l, F) principal
    directions, each scaled by the bound of Boehning (1992) on its curvature: few steps, whatever the penalty.
    Steps are solved by conjugate gradients.
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
    return (weight * scale) @ directions


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
