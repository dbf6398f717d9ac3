"""One backward pass of the summed losses, and what every layer saw of it (see layers.py)."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..types import Batch, Network
from .layers import Seen, seen

CLOSE = 1e-3  # relative to the length of the gradient: one item alone against the same item among others


def backward(network: Network, parameters: Mapping[str, Tensor], batch: Batch) -> list[Seen]:
    """The gradients of a batch's losses, layer by layer, for parameters that are covered."""
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {name.rpartition(".")[0]: [] for name in parameters}
    layers = {path: network.module.get_submodule(path) for path in calls}
    items = len(batch.at)
    handles = [layer.register_forward_hook(_recorder(calls[path], items)) for path, layer in layers.items()]
    try:
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
            total = network.losses(leaves, batch).sum()
    finally:
        for handle in handles:
            handle.remove()
    flat = [(path, given, output) for path, made in calls.items() for given, output in made]
    backs = torch.autograd.grad(total, [output for *_, output in flat], allow_unused=True)
    whole: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}
    for (path, given, output), back in zip(flat, backs, strict=True):
        if back is not None:
            whole.setdefault(path, []).append((given, output.detach(), back))
    found = []
    for path, made in whole.items():
        weight, bias = (f"{path}.{part}" if f"{path}.{part}" in parameters else None for part in ("weight", "bias"))
        found.append(seen(layers[path], made, weight, bias, items))
    return found


def _recorder(kept: list[tuple[Tensor, Tensor]], items: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Any]:
    def hook(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        shared, a = items > 1 and len(output) == 1, given[0].detach()
        if shared:  # what all items read, positions say: each gets its own copy, and with it its own gradient
            a, output = (x.expand(items, *x.shape[1:]) for x in (a, output))
        kept.append((a, output))
        return output

    return hook


def wrong_layer(network: Network, parameters: Mapping[str, Tensor], batch: Batch) -> str | None:
    """The parameter of which hooks give something else than the first item's gradient taken alone, if there is one.

    Where a layer works in place, is bypassed, or does not keep items along its first axis.
    """
    (alone,) = one_by_one(network, parameters, part_of(batch, slice(0, 1)))
    ours: dict[str, Tensor] = {}
    try:
        for layer in backward(network, parameters, part_of(batch, slice(0, 2))):
            ours |= {name: gradient[0] for name, gradient in layer.gradients()}
    except (RuntimeError, IndexError):  # shapes that are not those of a layer over a batch
        return next(iter(parameters))
    wrong = torch.stack([(g - ours.get(name, torch.zeros_like(g))).norm() for name, g in alone.items()])
    length = torch.stack([g.norm() for g in alone.values()]).norm()
    return None if bool((wrong <= CLOSE * length + 1e-6).all()) else list(alone)[int(wrong.argmax())]


def one_by_one(network: Network, parameters: Mapping[str, Tensor], batch: Batch) -> list[dict[str, Tensor]]:
    """The gradients of a batch, an item at a time: the definition."""
    found = []
    for item in range(len(batch.at)):
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
            loss = network.losses(leaves, part_of(batch, slice(item, item + 1))).sum()
            grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        found.append(dict(zip(leaves, grads, strict=True)))
    return found


def part_of(batch: Batch, rows: slice) -> Batch:
    """Some items of a batch."""
    inputs = {name: value[rows] for name, value in batch.inputs.items()}
    return Batch(batch.at[rows], inputs, batch.labels[rows])
