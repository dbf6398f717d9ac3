"""Gradients of a trained network: inner products and lengths without forming them, the vectors where they are needed.

Two ways, chosen by what the parameters belong to and measured by benchmarks/gradients.py:

- hooks (layers.py): one backward pass for any number of directions. Taken wherever all parameters are covered;
- forward mode (Pearlmutter 1994; Baydin et al. 2022): one dual pass a direction, for any differentiable network. It
  gives the products with all labels' gradients of an item at once. Lengths and vectors are then vmapped.

Several processes share the passes (passes.py); means, which are sums over items, are the main one's.
"""

import logging
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..numerics.reduction import WHOLE, Reduction
from ..processes import crew
from ..types import Adam, Network, Part, Scope
from .hooks import wrong_layer
from .layers import covered
from .passes import Question, Taken, of_labels

log = logging.getLogger("alrun")
SENT = 1 << 14  # numbers kept of a gradient above which it stays in the process that formed it


class NetworkGradients:
    """types.Gradients of one scope of a network, as it is after training or at a checkpoint."""

    def __init__(self, network: Network, scope: Scope) -> None:
        self._network, self._scope = network, Scope(scope)
        self._parameters = {name: value.detach() for name, value in network.parameters(self._scope).items()}
        self._hooked: bool | None = None  # not known yet
        size = sum(value.numel() for value in self._parameters.values())
        self._nowhere = next(iter(self._parameters.values())).new_empty(0, size)  # (0, P) no direction

    def hooked(self, part: Part, idx: Tensor, labels: Tensor) -> bool:
        """Whether hooks give these gradients: all parameters are covered, and an item's gradient comes out right."""
        if self._hooked is None and not covered(self._network.module, list(self._parameters)):
            self._hooked = False
        if self._hooked is None:
            if not len(idx):
                return True
            few = of_labels(self._network, part, idx[:2], labels[:2])
            wrong = wrong_layer(self._network, self._parameters, next(iter(few)))
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
        for batch in of_labels(self._network, part, idx, labels):
            with torch.enable_grad():
                leaves = {name: value.detach().requires_grad_() for name, value in self._parameters.items()}
                losses = self._network.losses(leaves, batch)
                sum_ = losses.sum() if weights is None else losses @ weights.to(losses)[batch.at]
                grads = torch.autograd.grad(sum_, list(leaves.values()), allow_unused=True, materialize_grads=True)
            total += torch.cat([g.flatten() for g in grads])
        return total / max(1, len(idx))

    def scores(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """(n, s) inner products with directions (s, P). No gradient of an item is formed."""
        return self._table(Question("scores", part, idx, labels, directions), len(directions))

    def hook_scores(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """The scores by hooks."""
        return self._table(Question("scores", part, idx, labels, directions), len(directions), hooked=True)

    def forward_scores(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """The scores in forward mode."""
        return self._table(Question("scores", part, idx, labels, directions), len(directions), hooked=False)

    def cosines(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """(n, s) scores over the lengths of the items' gradients, not of the directions; 0 without a length."""
        return self._table(Question("cosines", part, idx, labels, directions), len(directions))

    def label_scores(self, idx: Tensor, n_classes: int, direction: Tensor) -> Tensor:
        """(n, C) inner products with one direction (P,) of pool items, for every label they may have."""
        shares = direction.new_full((len(idx), n_classes), 1 / n_classes)
        question = Question("label_scores", "pool", idx, shares, direction[None])
        return self._table(question, n_classes, hooked=False)

    def norms(self, part: Part, idx: Tensor, labels: Tensor) -> Tensor:
        """(n,) lengths of the gradients."""
        return self._table(Question("norms", part, idx, labels, self._nowhere))

    def vectors(
        self, part: Part, idx: Tensor, labels: Tensor, reduction: Reduction = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(positions (b,) in idx, gradients (b, P) or what is kept of them), some items at a time."""
        question = Question("reduced", part, idx, labels, self._nowhere, reduction)
        hooked = self.hooked(part, idx, labels)
        if reduction.travels and reduction.width(self._nowhere.shape[1]) <= SENT:
            yield from self._answers(question, hooked)
            return
        taken, done = Taken(self._network, self._parameters, hooked), 0
        for batch in of_labels(self._network, part, idx, labels):
            for some, rows in taken.rows(batch):
                yield batch.at[some], reduction(rows)
            done += len(batch.at)
            self._network.report(done, len(idx))

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

    def _table(self, question: Question, *width: int, hooked: bool | None = None) -> Tensor:
        """(n, *width) the answers for all items."""
        if hooked is None:
            hooked = self.hooked(question.part, question.idx, question.labels)
        result = question.directions.new_zeros(len(question.idx), *width)
        for at, found in self._answers(question, hooked):
            result[at] = found
        return result

    def _answers(self, question: Question, hooked: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """(positions (b,) in idx, answers (b, ...)) of every batch, computed by all processes of the run."""
        known, parameters = self._network.told()
        about, given = question.told()
        about |= {"scope": self._scope, "hooked": hooked, "network": known}
        work = Taken(self._network, self._parameters, hooked).work(question)
        done = 0
        for at, (found,) in crew().shared("gradients", about, {**parameters, **given}, work):
            done += len(at)
            self._network.report(done, len(question.idx))
            yield torch.from_numpy(at).to(self._nowhere.device), found.to(self._nowhere.device)
