"""A network with one hidden layer on frozen features."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from ..needs import LAST_LAYER
from ..registry import model
from ..types import Head, Learner, Outputs, Part, Predictor
from .limits import at_least
from .material import Material, pool_mean, unit


@dataclass(frozen=True)
class Network:
    """logits = relu((unit(x) - pool mean) * sqrt(F) @ inner.T + shift) @ weight.T + bias"""

    material: Material
    mean: Tensor  # (F,)
    layers: tuple[Tensor, Tensor, Tensor, Tensor]  # inner (D, F), shift (D,), weight (C, D), bias (C,)
    loss: float
    notes: Mapping[str, float] = field(default_factory=dict)

    def outputs(self, part: Part, idx: Tensor) -> Outputs:
        """Embeddings are the hidden units."""
        inner, shift, weight, bias = self.layers
        hidden = linear(scaled(self.material.rows(part, idx), self.mean), inner, shift).relu()  # (n, D)
        return Outputs(linear(hidden, weight, bias), hidden)

    def head(self) -> Head:
        """The outer layer."""
        return Head(*self.layers[2:])

    def network(self) -> None:
        """Gradients are offered of the outer layer alone."""
        return None


def scaled(features: Tensor, mean: Tensor) -> Tensor:
    """(n, F) centred unit features, stretched so that an entry is about 1, as layers are initialised for."""
    return (unit(features) - mean) * mean.shape[0] ** 0.5


@model(offers=LAST_LAYER)
def mlp(
    material: Material, *, hidden: int, steps: int, batch: int, learning_rate: float, weight_decay: float
) -> Learner:
    """One hidden layer of rectified units; Adam with decoupled weight decay, a fixed number of steps, no early stop.

    Batches go through shuffled epochs. Initial weights depend on the generator alone, so strategies share them.
    All classes take part in the softmax: training lowers those without a label together. No labels: initial weights.
    Adam gives every weight steps of one size, so features that hardly vary count as much as those that vary most: on
    principal components with few labels this costs accuracy against `linear`.
    """
    at_least(1, hidden=hidden, batch=batch)
    at_least(0, steps=steps, learning_rate=learning_rate, weight_decay=weight_decay)
    material.begin()
    mean = pool_mean(material)

    def learn(idx: Tensor, labels: Tensor, rng: np.random.Generator) -> Predictor:
        # Drawn on the CPU whatever the device: the same numbers everywhere.
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        shapes = [(hidden, len(mean)), (hidden,), (material.n_classes, hidden), (material.n_classes,)]
        widths = [len(mean), len(mean), hidden, hidden]
        layers = []
        for shape, width in zip(shapes, widths, strict=True):
            drawn = (torch.rand(shape, generator=generator) * 2 - 1) / width**0.5
            layers.append(drawn.to(mean.device).requires_grad_())
        inner, shift, weight, bias = layers
        points, labels = scaled(material.rows("pool", idx), mean), labels.to(mean.device)  # (l, F), (l,)
        optimizer = torch.optim.AdamW(layers, lr=learning_rate, weight_decay=weight_decay)
        order = torch.empty(0, dtype=torch.int64)
        for _ in range(steps if len(idx) else 0):
            if len(order) == 0:
                order = torch.randperm(len(idx), generator=generator)  # (l,)
            now, order = order[:batch].to(mean.device), order[batch:]
            logits = linear(linear(points[now], inner, shift).relu(), weight, bias)  # (batch, C)
            optimizer.zero_grad()
            cross_entropy(logits, labels[now]).backward()
            optimizer.step()
        with torch.no_grad():
            final = linear(linear(points, inner, shift).relu(), weight, bias)  # (l, C)
            loss = float(cross_entropy(final, labels)) if len(idx) else float("nan")
        found = [layer.detach() for layer in layers]
        return Network(material, mean, (found[0], found[1], found[2], found[3]), loss)

    return learn
