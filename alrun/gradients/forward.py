"""Gradients of networks by the transformations of torch.func, which look into no layer."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import grad, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..errors import UserError
from ..types import Batch, Network

Named = Mapping[str, Tensor]


def slopes(network: Network, parameters: Named, batch: Batch, tangent: Named) -> Tensor:
    """(b,) derivatives of the losses along a direction: one dual pass. Fused attention has no forward derivative."""
    with sdpa_kernel(SDPBackend.MATH):
        return jvp(lambda weights: network.losses(weights, batch), (dict(parameters),), (dict(tangent),))[1]


def mapped(network: Network, parameters: Named, batch: Batch) -> Tensor:
    """(b, P) gradients, vmapped."""

    def loss(weights: Named, inputs: Named, label: Tensor) -> Tensor:
        alone = Batch(batch.at[:1], {name: value[None] for name, value in inputs.items()}, label[None])
        return network.losses(weights, alone).sum()

    try:
        with sdpa_kernel(SDPBackend.MATH):
            found = vmap(grad(loss), in_dims=(None, 0, 0))(dict(parameters), dict(batch.inputs), batch.labels)
    except RuntimeError as error:
        raise UserError(
            f"this network's gradients cannot be taken item by item: {str(error).strip().splitlines()[0]}",
            "strategy.scope=lora or head, or another model.path",
        ) from error
    return torch.cat([found[name].flatten(1) for name in parameters], dim=1)
