"""Gradients of a trained network: inner products and lengths without forming them, the vectors where they are needed.

Two ways, chosen by what the parameters belong to and measured by benchmarks/gradients.py:

- hooks (layers.py): one backward pass for any number of directions. Taken wherever all parameters are covered;
- forward mode (Pearlmutter 1994; Baydin et al. 2022): one dual pass a direction, for any differentiable network. It
  gives the products with all labels' gradients of an item at once. Lengths and vectors are then vmapped.
"""

import logging
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..needs import Need, refusal
from ..numerics.influence import cosine
from ..types import Adam, Batch, Network, Part, Scope
from .forward import mapped, slopes
from .hooks import backward, part_of, wrong_layer
from .layers import covered

log = logging.getLogger("alrun")
CELLS = 1 << 25  # entries of the gradients that are formed at once


class NetworkGradients:
    """types.Gradients of one scope of a network, as it is after training or at a checkpoint."""

    def __init__(self, network: Network, scope: Scope) -> None:
        self._network, self._scope = network, Scope(scope)
        self._parameters = {name: value.detach() for name, value in network.parameters(self._scope).items()}
        self._hooked: bool | None = None  # not known yet

    def hooked(self, part: Part, idx: Tensor, labels: Tensor) -> bool:
        """Whether hooks give these gradients: all parameters are covered, and an item's gradient comes out right."""
        if self._hooked is None and not covered(self._network.module, list(self._parameters)):
            self._hooked = False
        if self._hooked is None:
            if not len(idx):
                return True
            wrong = wrong_layer(self._network, self._parameters, next(self._batches(part, idx[:2], labels[:2])))
            if wrong is not None:
                log.warning("hooks do not see the gradient of %s: forward mode and vmap take their place", wrong)
            if len(idx) == 1:  # too few to see whether items are kept apart
                return wrong is None
            self._hooked = wrong is None
        return self._hooked

    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the flat vectors."""
        return tuple(self._parameters)

    def parameters(self) -> Tensor:
        """(P,) the parameters themselves."""
        return torch.cat([value.flatten() for value in self._parameters.values()])

    def mean(self, part: Part, idx: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """(P,) the mean of the items' gradients, each times its weight (n,) where weights are given."""
        total = torch.zeros_like(self.parameters())
        for batch in self._batches(part, idx, labels):
            with torch.enable_grad():
                leaves = {name: value.detach().requires_grad_() for name, value in self._parameters.items()}
                losses = self._network.losses(leaves, batch)
                sum_ = losses.sum() if weights is None else losses @ weights.to(losses)[batch.at]
                grads = torch.autograd.grad(sum_, list(leaves.values()), allow_unused=True, materialize_grads=True)
            total += torch.cat([g.flatten() for g in grads])
        return total / max(1, len(idx))

    def scores(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """(n, s) inner products with directions (s, P). No gradient of an item is formed."""
        return (self.hook_scores if self.hooked(part, idx, labels) else self.forward_scores)(
            part, idx, labels, directions
        )

    def hook_scores(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """The scores by hooks."""
        named = self._named(directions)
        result = directions.new_zeros(len(idx), len(directions))
        for batch in self._batches(part, idx, labels):
            for layer in backward(self._network, self._parameters, batch):
                result[batch.at] += layer.products(named)
        return result

    def forward_scores(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """The scores in forward mode."""
        result = directions.new_empty(len(idx), len(directions))
        for batch in self._batches(part, idx, labels):
            with torch.no_grad():
                for column, direction in enumerate(directions):
                    result[batch.at, column] = self._slope(batch, direction)
        return result

    def cosines(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """(n, s) scores over the lengths of the items' gradients, not of the directions; 0 without a length."""
        result, lengths = directions.new_zeros(len(idx), len(directions)), directions.new_zeros(len(idx))
        if not self.hooked(part, idx, labels):
            for at, rows in self.vectors(part, idx, labels):
                result[at], lengths[at] = rows @ directions.T, rows.norm(dim=1)
            return cosine(result, lengths[:, None])
        named = self._named(directions)
        for batch in self._batches(part, idx, labels):
            for layer in backward(self._network, self._parameters, batch):
                result[batch.at] += layer.products(named)
                lengths[batch.at] += layer.squared_norms()
        return cosine(result, lengths.sqrt()[:, None])

    def label_scores(self, idx: Tensor, n_classes: int, direction: Tensor) -> Tensor:
        """(n, C) inner products with one direction (P,) of pool items, for every label they may have.

        The loss is linear in the shares q of the labels, so one dual pass gives them all: they are its derivative in q.
        """
        result = direction.new_empty(len(idx), n_classes)
        shares = direction.new_full((len(idx), n_classes), 1 / n_classes)
        for batch in self._batches("pool", idx, shares):
            with torch.enable_grad():
                soft = batch.labels.detach().requires_grad_()
                slope = self._slope(batch._replace(labels=soft), direction)
                (result[batch.at],) = torch.autograd.grad(slope.sum(), [soft])
        return result

    def norms(self, part: Part, idx: Tensor, labels: Tensor) -> Tensor:
        """(n,) lengths of the gradients."""
        result = self.parameters().new_zeros(len(idx))
        if not self.hooked(part, idx, labels):
            for at, rows in self.vectors(part, idx, labels):
                result[at] = rows.norm(dim=1)
            return result
        for batch in self._batches(part, idx, labels):
            for layer in backward(self._network, self._parameters, batch):
                result[batch.at] += layer.squared_norms()
        return result.sqrt()

    def vectors(self, part: Part, idx: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """(positions (b,) in idx, gradients (b, P)), some items at a time."""
        size = sum(value.numel() for value in self._parameters.values())
        hooked = self.hooked(part, idx, labels)
        for whole in self._batches(part, idx, labels):
            rows = max(1, CELLS // max(1, size))
            for start in range(0, len(whole.at), rows):
                batch = part_of(whole, slice(start, start + rows))
                yield batch.at, self._hooked_rows(batch) if hooked else mapped(self._network, self._parameters, batch)

    def adam(self) -> Adam:
        """Adam's state after the last step, found by the names of the parameters; zeros before the first step."""
        found = self._network.moments()
        if found is None:
            nothing = torch.zeros_like(self.parameters())
            return Adam(nothing, nothing, 0, (0.9, 0.999), 1e-8)
        missing = [name for name in self._parameters if name not in found.first]
        if missing:
            raise KeyError(f"Adam has no moments of {missing[0]} ({len(missing)} of {len(self._parameters)} missing)")
        first, second = (
            torch.cat([side[name].detach().flatten() for name in self._parameters])
            for side in (found.first, found.second)
        )
        return Adam(first, second, found.step, found.betas, found.eps)

    def checkpoints(self) -> Sequence[tuple[float, "NetworkGradients"]]:
        """(mean learning rate, gradients) at each checkpoint of this training, the last one included."""
        return [(rate, NetworkGradients(network, self._scope)) for rate, network in self._network.checkpoints()]

    def _named(self, directions: Tensor) -> dict[str, Tensor]:
        """(s, *shape) by name, of flat directions (s, P)."""
        parts = directions.split([value.numel() for value in self._parameters.values()], dim=1)
        named = zip(self._parameters.items(), parts, strict=True)
        return {name: rows.reshape(len(directions), *value.shape) for (name, value), rows in named}

    def _batches(self, part: Part, idx: Tensor, labels: Tensor) -> Iterator[Batch]:
        """The network's batches; shares of labels take the place of the labels that it reads itself."""
        if labels.ndim == 1:
            yield from self._network.batches(part, idx, labels)
            return
        for batch in self._network.batches(part, idx, labels.argmax(1)):
            if batch.labels.ndim > 1:
                raise refusal(Need.shares)
            yield batch._replace(labels=labels[batch.at])

    def _slope(self, batch: Batch, direction: Tensor) -> Tensor:
        """(b,) derivatives of the losses along a direction (P,)."""
        tangent = {name: rows[0] for name, rows in self._named(direction[None]).items()}
        return slopes(self._network, self._parameters, batch, tangent)

    def _hooked_rows(self, batch: Batch) -> Tensor:
        """(b, P)"""
        rows = self.parameters().new_zeros(len(batch.at), sum(v.numel() for v in self._parameters.values()))
        places = self._places()
        for layer in backward(self._network, self._parameters, batch):
            for name, gradient in layer.gradients():
                rows[:, places[name]] = gradient.flatten(1)
        return rows

    def _places(self) -> dict[str, slice]:
        places, start = {}, 0
        for name, value in self._parameters.items():
            places[name] = slice(start, start + value.numel())
            start += value.numel()
        return places
