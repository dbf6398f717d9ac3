"""Softmax regression on frozen features."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..needs import LAST_LAYER
from ..registry import model
from ..types import Head, Learner, Outputs, Part, Predictor
from .limits import above_zero, at_least, finite
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


@model(offers=LAST_LAYER)
def linear(material: Material, *, penalty: float, initial: float) -> Learner:
    """Softmax regression on unit features centred on the pool, solved to convergence in float64.

    Minimises `sum of cross-entropies + penalty / 2 * mean over classes of ||weight of the class||^2`, so the pull on
    one class does not grow with the number of classes (scikit-learn's C is n_classes / penalty). No bias is fitted:
    with few labels it learns which class happened to be drawn more often. `geometric_bias` follows from the weights.

    All classes take part in the softmax. Those without a label share one weight vector, which points away from what
    is labelled: they split between them the probability of what looks like no labelled class. The minimum is unique,
    so the generator matters only with no labels at all, when weights are normal with deviation `initial`.
    """
    above_zero(penalty=penalty)
    at_least(0, initial=initial)
    finite(penalty=penalty, initial=initial)
    material.begin()
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
    """Weights (C, F) at the minimum of `sum of cross-entropies + penalty / 2 * ||weight||^2`, by L-BFGS in float64.

    The minimum lies in the span of the labelled points, so the search happens in their r <= min(l, F) principal
    directions, each scaled by about its curvature near the minimum, where most probabilities are close to 0 or 1: a
    small part of what they allow at most (Boehning, 1992). Steps end where rounding does.
    """
    from scipy.optimize import minimize

    left, sizes, directions = torch.linalg.svd(embeddings, full_matrices=False)  # (l, r), (r,), (r, F)
    scale = (0.05 / n_classes * sizes.square() + penalty).rsqrt()  # (r,)
    points = left * (sizes * scale)  # (l, r)
    ridge = penalty * scale.square()  # (r,)
    truth = (labels == torch.arange(n_classes, device=labels.device)[:, None]).to(points)  # (C, l)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight = torch.from_numpy(flat).to(points.device).view(n_classes, -1)  # (C, r)
        logs = (weight @ points.T).log_softmax(dim=0)  # (C, l): twice as fast as its transpose
        value = (ridge * weight.square()).sum() / 2 - (truth * logs).sum()
        gradient = logs.exp_().sub_(truth) @ points + ridge * weight  # (C, r)
        return float(value), gradient.flatten().cpu().numpy()

    start = np.zeros(n_classes * len(sizes))
    exact = {"ftol": 0, "gtol": 1e-9, "maxcor": 20, "maxiter": 10_000, "maxfun": 20_000}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=exact)
    return (torch.from_numpy(found.x).to(points.device).view(n_classes, -1) * scale) @ directions
