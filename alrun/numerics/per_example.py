"""Gradients example by example, of any differentiable loss (torch.func), and what can be had without them.

`loss(params, *example)` is the loss of one example, in nats; `batch` holds the examples' parts, first axis n. Flat
gradients follow the parameters' order of definition, each row-major.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, jvp, vmap

Params = dict[str, Tensor]
Loss = Callable[..., Tensor]


def per_example_losses(loss: Loss, params: Params, *batch: Tensor) -> Tensor:
    """Loss of each example, (n,)."""
    return vmap(loss, in_dims=(None,) + (0,) * len(batch))(params, *batch)


def per_example_gradients(loss: Loss, params: Params, *batch: Tensor, chunk: int) -> Tensor:
    """The gradients themselves, (n, P), `chunk` examples at a time: for Adam and diversity, which need all entries."""
    gradients = vmap(grad(loss), in_dims=(None,) + (0,) * len(batch), chunk_size=chunk)(params, *batch)
    return torch.cat([gradients[name].flatten(1) for name in params], dim=1)


def directional(loss: Loss, params: Params, direction: Tensor, *batch: Tensor) -> Tensor:
    """<g_i, direction> of each example, (n,), in one pass in forward mode: nothing of size n x P, no backward graph."""
    sizes = [value.numel() for value in params.values()]
    parts = zip(params.items(), direction.split(sizes), strict=True)
    tangent = {name: part.view_as(value) for (name, value), part in parts}
    return jvp(lambda weights: per_example_losses(loss, weights, *batch), (params,), (tangent,))[1]
