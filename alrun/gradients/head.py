"""Gradients of a linear last layer, from embeddings and predictions alone: the closed form of numerics/influence.py.

Serves models that offer no network. Parameters are the weights row by row, then the bias.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..needs import Need, refusal
from ..numerics import influence
from ..numerics.reduction import WHOLE, Reduction
from ..types import Adam, Head, Outputs, Part

BLOCK = 1024  # items whose gradients are formed at once


class HeadGradients:
    """types.Gradients in the scope `head`."""

    def __init__(self, head: Head, outputs: Callable[[Part, Tensor], Outputs]) -> None:
        self._head, self._outputs = head, outputs

    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the flat vectors."""
        return ("weight", "bias")

    def parameters(self) -> Tensor:
        """(P,) the parameters themselves."""
        return torch.cat([self._head.weight.flatten(), self._head.bias])

    def mean(self, part: Part, idx: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """(P,) the mean of the items' gradients, each times its weight (n,) where weights are given."""
        residual, embeddings = self._factors(part, idx, labels)
        scaled = residual if weights is None else residual * weights.to(residual)[:, None]
        return torch.cat([(scaled.T @ embeddings).flatten(), scaled.sum(0)]) / max(1, len(idx))

    def scores(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """(n, s) inner products with directions (s, P). No gradient of an item is formed."""
        residual, embeddings = self._factors(part, idx, labels)
        found = [influence.scores(residual, embeddings, self._matrix(t), cosines=False) for t in directions]
        return torch.stack(found, dim=1)

    def cosines(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """(n, s) scores over the lengths of the items' gradients, not of the directions; 0 without a length."""
        residual, embeddings = self._factors(part, idx, labels)
        found = [influence.scores(residual, embeddings, self._matrix(t), cosines=True) for t in directions]
        return torch.stack(found, dim=1)

    def label_scores(self, idx: Tensor, n_classes: int, direction: Tensor) -> Tensor:
        """(n, C) inner products with one direction (P,) of pool items, for every label they may have."""
        logits, embeddings = self._outputs("pool", idx)
        return influence.label_scores(logits.softmax(1), embeddings, self._matrix(direction), cosines=False)

    def norms(self, part: Part, idx: Tensor, labels: Tensor) -> Tensor:
        """(n,) lengths of the gradients."""
        return influence.norms(*self._factors(part, idx, labels))

    def vectors(
        self, part: Part, idx: Tensor, labels: Tensor, reduction: Reduction = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(positions (b,) in idx, gradients (b, P) or what is kept of them), some items at a time."""
        for at in torch.arange(len(idx), device=idx.device).split(BLOCK):
            yield at, reduction(influence.gradients(*self._factors(part, idx[at], labels[at])))

    def adam(self) -> Adam:
        """There is none: such heads are not trained by Adam, or do not keep its moments."""
        raise refusal(Need.adam)

    def checkpoints(self) -> Sequence[tuple[float, "HeadGradients"]]:
        """There are none."""
        raise refusal(Need.checkpoints)

    def _factors(self, part: Part, idx: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (n, C) and embeddings (n, D)."""
        logits, embeddings = self._outputs(part, idx)
        probs = logits.softmax(1)
        if labels.ndim == 2:  # shares of the labels
            return probs - labels.to(probs), embeddings
        return influence.residuals(probs, labels), embeddings

    def _matrix(self, direction: Tensor) -> Tensor:
        """(C, D + 1) of a flat direction: the bias last in every row."""
        classes = len(self._head.bias)
        return torch.cat([direction[:-classes].view(classes, -1), direction[-classes:, None]], dim=1)
