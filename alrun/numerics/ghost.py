"""Per-example gradients of linear layers without forming them (ghost norms: Goodfellow 2015, arXiv:1510.01799).

A linear layer that is used at T positions of example i with inputs a (T, in) and output gradients b (T, out) has the
weight gradient G_i = sum_t b_t a_t^T. Hence, with sums over pairs of positions,

    <G_i, G_j> = sum_ts (a_it . a_js) (b_it . b_js)        and        <G_i, M> = sum_t b_it . (M a_it).

One backward pass of the summed loss gives a and b of all examples. b must be zero at padded positions, which it is
where the loss ignores them and nothing attends to them. Three relatives are the same layer in other clothes: a bias is
one more input that is always 1 (`with_bias`), a LoRA adapter is two layers (`lora_layers`), and a projection from both
sides is a smaller layer (`projected`). An entry of a gradient of losses in nats is in nats a unit of weight.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

CELLS = 1 << 22  # entries of the largest temporary


class Layer(NamedTuple):
    """What one linear layer saw: its inputs, and the gradients of the examples' losses at its outputs."""

    inputs: Tensor  # (n, T, in)
    outputs: Tensor  # (n, T, out)


def with_bias(layer: Layer) -> Layer:
    """The layer with its bias as the weight of a last input, always 1."""
    return Layer(torch.nn.functional.pad(layer.inputs, (0, 1), value=1), layer.outputs)


def lora_layers(layer: Layer, down: Tensor, up: Tensor, *, scale: float) -> tuple[Layer, Layer]:
    """The layers of A `down` (r, in) and B `up` (out, r) in y = W x + scale B A x, scale = alpha / r (Hu et al. 2022).

    Their gradients are scale B^T b a^T and scale b (A a)^T. No dropout between: take gradients in evaluation mode.
    """
    a, b = layer.inputs, scale * layer.outputs
    return Layer(a, b @ up), Layer(a @ down.T, b)


def projected(layer: Layer, p_in: Tensor, p_out: Tensor) -> Layer:
    """A layer (k_in, k_out wide) whose gradients are P_out G P_in^T (LoGra, Choe et al. 2024, arXiv:2405.13954)."""
    return Layer(layer.inputs @ p_in.T, layer.outputs @ p_out.T)


def weight_gradients(layer: Layer) -> Tensor:
    """The gradients themselves, (n, out, in)."""
    return torch.einsum("nto,nti->noi", layer.outputs, layer.inputs)


def bias_gradients(layer: Layer) -> Tensor:
    """Gradients of the bias, (n, out)."""
    return layer.outputs.sum(1)


def gram(left: Layer, right: Layer, *, cells: int = CELLS) -> Tensor:
    """<G_i, G_j> between the examples of two sets at the same layer, (n, m).

    Costs n m T^2 (in + out), against n m in out for the product of formed gradients. Add up over layers.
    """
    result = left.inputs.new_empty(len(left.inputs), len(right.inputs))  # (n, m)
    positions = max(1, left.inputs.shape[1] * right.inputs.shape[1])
    side = max(1, int((cells / positions) ** 0.5))
    for rows, a, b in _blocks(left, side):
        for columns, c, d in _blocks(right, side):
            pairs = torch.einsum("nti,msi->nmts", a, c).mul_(torch.einsum("nto,mso->nmts", b, d))
            result[rows, columns] = pairs.sum((2, 3))
    return result


def squared_norms(layer: Layer, *, cells: int = CELLS) -> Tensor:
    """|G_i|^2 of every example, (n,), by whichever is smaller, T^2 pairs or in x out entries (Bu et al. 2022).

    Square roots of their sum over layers are the lengths for cosines.
    """
    n, positions, width = layer.inputs.shape
    pairs = positions**2
    entries = width * layer.outputs.shape[2]
    result = layer.inputs.new_empty(n)
    for rows, a, b in _blocks(layer, max(1, cells // max(1, min(pairs, entries)))):
        if pairs <= entries:
            result[rows] = ((a @ a.mT) * (b @ b.mT)).sum((1, 2)).clamp_min(0)
        else:
            result[rows] = (b.mT @ a).square().sum((1, 2))
    return result


def products(layer: Layer, target: Tensor) -> Tensor:
    """<G_i, M> with fixed directions M: (n,) for `target` (out, in), (n, s) for (s, out, in). One product each."""
    if target.ndim == 2:
        return ((layer.inputs @ target.T) * layer.outputs).sum((1, 2))
    return torch.stack([products(layer, matrix) for matrix in target], dim=1)


def _blocks(layer: Layer, size: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    for start in range(0, len(layer.inputs), size):
        rows = slice(start, start + size)
        yield rows, layer.inputs[rows], layer.outputs[rows]
