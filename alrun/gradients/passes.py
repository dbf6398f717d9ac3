"""Passes over items for their gradients: what is computed of a batch, in whichever process of the run.

A question holds all that the answer depends on besides the network. Its batches know nothing of each other, so the
processes of a run share them (processes.py), and each batch gives what it gives in one process alone.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..needs import Need, refusal
from ..numerics.influence import cosine
from ..numerics.reduction import WHOLE, Reduction
from ..processes import Pass
from ..types import Batch, Batches, Network, Part, Scope
from .forward import mapped, slopes
from .hooks import backward, part_of

CELLS = 1 << 25  # entries of the gradients that are formed at once
Named = Mapping[str, Tensor]


class Question(NamedTuple):
    """What is asked of every item's gradient."""

    task: str  # one of ANSWERS
    part: Part
    idx: Tensor  # (n,)
    labels: Tensor  # (n,) int64, or (n, C) shares
    directions: Tensor  # (s, P); s = 0 where the task has none
    reduction: Reduction = WHOLE

    def told(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """This as JSON and tensors; no name has a dot, as those of parameters have."""
        about, given = self.reduction.told()
        given |= {"idx": self.idx, "labels": self.labels, "directions": self.directions}
        return {"task": self.task, "part": self.part, "reduction": about}, given


def heard(about: Mapping[str, Any], given: Mapping[str, Tensor]) -> Question:
    """The question that `told` put into words."""
    reduction = Reduction.heard(about["reduction"], given)
    return Question(about["task"], about["part"], given["idx"], given["labels"], given["directions"], reduction)


class Taken(NamedTuple):
    """A network's gradients in some of its parameters, by hooks or by torch.func."""

    network: Network
    parameters: dict[str, Tensor]
    hooked: bool

    def work(self, question: Question) -> Pass:
        """The answers (b, ...) for the batches of a question."""
        batches = of_labels(self.network, question.part, question.idx, question.labels)
        answer = ANSWERS[question.task](self, question)
        return Pass(batches.places, lambda at: [answer(batches.make(at))])

    def rows(self, whole: Batch) -> Iterator[tuple[slice, Tensor]]:
        """(positions in the batch, gradients (b, P)), as many at a time as may be formed at once."""
        step = max(1, CELLS // max(1, sum(value.numel() for value in self.parameters.values())))
        for start in range(0, len(whole.at), step):
            some = slice(start, start + step)
            batch = part_of(whole, some)
            yield some, self._by_hooks(batch) if self.hooked else mapped(self.network, self.parameters, batch)

    def _by_hooks(self, batch: Batch) -> Tensor:
        """(b, P)"""
        places = places_of(self.parameters)
        like = next(iter(self.parameters.values()))
        rows = like.new_zeros(len(batch.at), sum(value.numel() for value in self.parameters.values()))
        for layer in backward(self.network, self.parameters, batch):
            for name, gradient in layer.gradients():
                rows[:, places[name]] = gradient.flatten(1)
        return rows


def of_labels(network: Network, part: Part, idx: Tensor, labels: Tensor) -> Batches:
    """The network's batches; shares of labels take the place of the labels that it reads itself."""
    if labels.ndim == 1:
        return network.batches(part, idx, labels)
    batches = network.batches(part, idx, labels.argmax(1))

    def shared(at: Any) -> Batch:
        batch = batches.make(at)
        if batch.labels.ndim > 1:
            raise refusal(Need.shares)
        return batch._replace(labels=labels.to(batch.labels.device)[batch.at])

    return Batches(batches.places, shared)


def by_name(parameters: Named, directions: Tensor) -> dict[str, Tensor]:
    """(s, *shape) by name, of flat directions (s, P)."""
    parts = directions.split([value.numel() for value in parameters.values()], dim=1)
    named = zip(parameters.items(), parts, strict=True)
    return {name: rows.reshape(len(directions), *value.shape) for (name, value), rows in named}


def places_of(parameters: Named) -> dict[str, slice]:
    """Where each parameter stands in a flat gradient."""
    places, start = {}, 0
    for name, value in parameters.items():
        places[name] = slice(start, start + value.numel())
        start += value.numel()
    return places


# -- what each task makes of a batch


def _scores(taken: Taken, question: Question) -> Callable[[Batch], Tensor]:
    """(b, s) inner products with the directions. No gradient of an item is formed."""
    network, parameters, directions = taken.network, taken.parameters, question.directions
    named = by_name(parameters, directions)
    if not taken.hooked:
        return lambda batch: forward(network, parameters, batch, named)

    def products(batch: Batch) -> Tensor:
        found = directions.new_zeros(len(batch.at), len(directions))
        for layer in backward(network, parameters, batch):
            found += layer.products(named)
        return found

    return products


def forward(network: Network, parameters: Named, batch: Batch, named: Named) -> Tensor:
    """(b, s) inner products with directions by name, in forward mode: one dual pass a direction."""
    with torch.no_grad():
        each = zip(*(rows.unbind(0) for rows in named.values()), strict=True)
        tangents = [dict(zip(named, values, strict=True)) for values in each]
        found = [slopes(network, parameters, batch, tangent) for tangent in tangents]
    return torch.stack(found, dim=1)


def _cosines(taken: Taken, question: Question) -> Callable[[Batch], Tensor]:
    """(b, s) inner products over the lengths of the gradients; 0 without a length."""
    directions = question.directions
    named = by_name(taken.parameters, directions)

    def one_by_one(batch: Batch) -> Tensor:
        parts = [cosine(rows @ directions.T, rows.norm(dim=1)[:, None]) for _, rows in taken.rows(batch)]
        return torch.cat(parts)

    def products(batch: Batch) -> Tensor:
        found = directions.new_zeros(len(batch.at), len(directions))
        squares = directions.new_zeros(len(batch.at))
        for layer in backward(taken.network, taken.parameters, batch):
            found += layer.products(named)
            squares += layer.squared_norms()
        return cosine(found, squares.sqrt()[:, None])

    return products if taken.hooked else one_by_one


def _norms(taken: Taken, question: Question) -> Callable[[Batch], Tensor]:
    """(b,) lengths of the gradients."""
    like = next(iter(taken.parameters.values()))

    def one_by_one(batch: Batch) -> Tensor:
        return torch.cat([rows.norm(dim=1) for _, rows in taken.rows(batch)])

    def lengths(batch: Batch) -> Tensor:
        squares = like.new_zeros(len(batch.at))
        for layer in backward(taken.network, taken.parameters, batch):
            squares += layer.squared_norms()
        return squares.sqrt()

    return lengths if taken.hooked else one_by_one


def _label_scores(taken: Taken, question: Question) -> Callable[[Batch], Tensor]:
    """(b, C) inner products with one direction for every label: the derivative of the slope in the labels' shares.

    The loss is linear in the shares of the labels, so one dual pass gives them all.
    """
    named = by_name(taken.parameters, question.directions)
    tangent = {name: rows[0] for name, rows in named.items()}

    def derivative(batch: Batch) -> Tensor:
        with torch.enable_grad():
            soft = batch.labels.detach().requires_grad_()
            slope = slopes(taken.network, taken.parameters, batch._replace(labels=soft), tangent)
            return torch.autograd.grad(slope.sum(), [soft])[0]

    return derivative


def _reduced(taken: Taken, question: Question) -> Callable[[Batch], Tensor]:
    """(b, width) what the reduction keeps of each gradient."""
    return lambda batch: torch.cat([question.reduction(rows) for _, rows in taken.rows(batch)])


ANSWERS: dict[str, Callable[[Taken, Question], Callable[[Batch], Tensor]]] = {
    "scores": _scores,
    "cosines": _cosines,
    "norms": _norms,
    "label_scores": _label_scores,
    "reduced": _reduced,
}


def asked(network: Network, about: Mapping[str, Any], given: Mapping[str, Tensor]) -> Pass:
    """The pass that the main process has begun, in another one, on its own copy of the network."""
    parameters = {name: value.detach() for name, value in network.parameters(Scope(about["scope"])).items()}
    device = next(iter(parameters.values())).device
    question = heard(about, {name: value.to(device) for name, value in given.items()})
    return Taken(network, parameters, about["hooked"]).work(question)
