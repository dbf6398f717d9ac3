"""The label of the nearest labelled point."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..registry import model
from ..types import Learner, Outputs, Part, Predictor
from .limits import above_zero
from .material import Material, unit

UNSEEN = 2.0  # squared distance of a class without labels: that of orthogonal unit vectors, neither like nor unlike
ENTRIES = 2**24  # similarities held at a time, 128 MB


@dataclass(frozen=True)
class Nearest:
    """logits = -(squared distance to the nearest labelled point of each class) / temperature"""

    material: Material
    points: Tensor  # (l, F) unit, float64
    labels: Tensor  # (l,) in the order they were acquired
    temperature: float
    loss: float = float("nan")  # nothing is trained
    notes: Mapping[str, float] = field(default_factory=dict)

    def head(self) -> None:
        """There is no last layer."""
        return None

    def network(self) -> None:
        """There are no parameters."""
        return None

    def outputs(self, part: Part, idx: Tensor) -> Outputs:
        """Embeddings are the unit features."""
        embeddings = unit(self.material.rows(part, idx))  # (n, F)
        logits = embeddings.new_zeros(len(idx), self.material.n_classes)  # (n, C)
        if len(self.labels):
            size = max(1, ENTRIES // len(self.labels))
            for rows, out in zip(embeddings.split(size), logits.split(size), strict=True):
                out.copy_(self._logits(rows.double()))
        return Outputs(logits, embeddings)

    def _logits(self, rows: Tensor) -> Tensor:
        """(block, C) float32 whose largest entry is the class of the nearest point, of the first acquired if tied."""
        # Rounded, so that equal points stay equal wherever they fall in the matrix product.
        squared = (2 - 2 * rows @ self.points.T).round(decimals=12).clamp(min=0)  # (block, l)
        least = squared.min(dim=1, keepdim=True).values  # (block, 1)
        first = (squared == least).to(torch.uint8).argmax(dim=1)  # (block,)
        by_class = squared.new_full((len(rows), self.material.n_classes), UNSEEN)
        by_class.scatter_reduce_(
            1, self.labels.expand(len(rows), -1), squared, "amin", include_self=False
        )  # (block, C)
        logits = (-by_class / self.temperature).float()
        above = logits.max(dim=1, keepdim=True).values
        winner = torch.nextafter(above, torch.full_like(above, torch.inf))
        return logits.scatter_(1, self.labels[first][:, None], winner)


@model(offers=[])
def knn(material: Material, *, temperature: float) -> Learner:
    """1-NN on L2-normalised features, as MaxHerding is evaluated (Bae et al., ECCV 2024). Equally near: first acquired.

    Probabilities are a softmax of minus the squared distance to each class's nearest labelled point over `temperature`;
    a class without labels counts as orthogonal, and is never the most probable one. No labels at all: uniform.
    """
    above_zero(temperature=temperature)

    def learn(idx: Tensor, labels: Tensor, rng: np.random.Generator) -> Predictor:
        points = unit(material.rows("pool", idx)).double()  # (l, F)
        return Nearest(material, points, labels.to(points.device), temperature)

    return learn
