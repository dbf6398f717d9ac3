"""What hooks saw of a layer, and its per-example gradients without forming them (numerics/ghost.py).

A parameter is covered if it belongs to one linear, convolutional, normalising or embedding layer and to no other.
Shapes: b items of a batch, T positions an item, s directions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..numerics import ghost
from ..numerics.ghost import Layer

Named = Mapping[str, Tensor]
Call = tuple[Tensor, Tensor, Tensor]  # input of a module, its output, and the gradient of the losses there
KINDS = (nn.Linear, nn.Conv2d, nn.LayerNorm, nn.BatchNorm2d, nn.Embedding)


class Seen(Protocol):
    """Gradients of some items in the parameters of one layer."""

    def products(self, directions: Named) -> Tensor:
        """(b, s) inner products with directions (s, *shape) by name."""

    def squared_norms(self) -> Tensor:
        """(b,)"""

    def gradients(self) -> Iterator[tuple[str, Tensor]]:
        """(name, (b, *shape)) of every parameter in question."""


@dataclass(frozen=True)
class Matrix:
    """A weight matrix with or without its bias."""

    layer: Layer
    weight: str | None  # names; None: not in question
    bias: str | None
    shape: torch.Size

    def products(self, directions: Named) -> Tensor:
        """(b, s)"""
        parts = []
        if self.weight:
            parts.append(ghost.products(self.layer, directions[self.weight].flatten(2)))
        if self.bias:
            parts.append(ghost.bias_gradients(self.layer) @ directions[self.bias].T)
        return torch.stack(parts).sum(0)

    def squared_norms(self) -> Tensor:
        """(b,)"""
        parts = [ghost.squared_norms(self.layer)] if self.weight else []
        if self.bias:
            parts.append(ghost.bias_gradients(self.layer).square().sum(1))
        return torch.stack(parts).sum(0)

    def gradients(self) -> Iterator[tuple[str, Tensor]]:
        """By name."""
        if self.weight:
            yield self.weight, ghost.weight_gradients(self.layer).unflatten(2, self.shape[1:])
        if self.bias:
            yield self.bias, ghost.bias_gradients(self.layer)


@dataclass(frozen=True)
class Formed:
    """Gradients that are small enough to be formed: scales and shifts, as wide as the layer."""

    formed: Named  # (b, *shape)

    def products(self, directions: Named) -> Tensor:
        """(b, s)"""
        return torch.stack([g.flatten(1) @ directions[name].flatten(1).T for name, g in self.formed.items()]).sum(0)

    def squared_norms(self) -> Tensor:
        """(b,)"""
        return torch.stack([g.flatten(1).square().sum(1) for g in self.formed.values()]).sum(0)

    def gradients(self) -> Iterator[tuple[str, Tensor]]:
        """By name."""
        yield from self.formed.items()


@dataclass(frozen=True)
class Table:
    """Rows of a table that tokens look up."""

    tokens: Tensor  # (b, T) int64
    outputs: Tensor  # (b, T, width), zero where the table is not trained
    weight: str
    shape: torch.Size

    def products(self, directions: Named) -> Tensor:
        """(b, s)"""
        found = [(functional.embedding(self.tokens, t) * self.outputs).sum((1, 2)) for t in directions[self.weight]]
        return torch.stack(found, dim=1)

    def squared_norms(self) -> Tensor:
        """(b,): positions of one token share a row."""
        same = self.tokens[:, :, None] == self.tokens[:, None, :]  # (b, T, T)
        return ((self.outputs @ self.outputs.mT) * same).sum((1, 2)).clamp_min(0)

    def gradients(self) -> Iterator[tuple[str, Tensor]]:
        """By name."""
        rows = self.outputs.new_zeros(len(self.tokens), *self.shape)
        index = self.tokens[:, :, None].expand_as(self.outputs)
        yield self.weight, rows.scatter_add_(1, index, self.outputs)


def covered(module: nn.Module, names: Sequence[str]) -> bool:
    """Whether hooks give the gradients in all these parameters."""
    uses: dict[int, int] = {}
    for _, parameter in module.named_parameters(remove_duplicate=False):
        uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    return all(_plain(owner(module, name)) and uses[id(module.get_parameter(name))] == 1 for name in names)


def owner(module: nn.Module, name: str) -> nn.Module:
    """The layer that a parameter belongs to."""
    return module.get_submodule(name.rpartition(".")[0])


def _plain(layer: nn.Module) -> bool:
    """A layer of a known kind that does what its kind does."""
    kind = next((kind for kind in KINDS if isinstance(layer, kind)), None)
    if kind is None or type(layer).forward is not kind.forward:
        return False
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    if isinstance(layer, nn.BatchNorm2d):
        return layer.track_running_stats and not layer.training
    return not isinstance(layer, nn.Embedding) or (layer.max_norm is None and not layer.scale_grad_by_freq)


def seen(layer: nn.Module, calls: Sequence[Call], weight: str | None, bias: str | None, items: int) -> Seen:
    """The gradients of a layer in what is in question of its weight and bias, over all its calls."""
    if isinstance(layer, nn.Embedding):
        assert weight is not None
        kept = [(tokens.reshape(items, -1), b.reshape(items, -1, b.shape[-1])) for tokens, _, b in calls]
        tokens = torch.cat([tokens for tokens, _ in kept], dim=1)
        outputs = torch.cat([b for _, b in kept], dim=1)
        if layer.padding_idx is not None:
            outputs = outputs * (tokens != layer.padding_idx)[:, :, None]
        return Table(tokens, outputs, weight, layer.weight.shape)
    if isinstance(layer, nn.Linear | nn.Conv2d):
        pairs = [_patches(layer, a, b) if isinstance(layer, nn.Conv2d) else (a, b) for a, _, b in calls]
        joined = [
            torch.cat([x.reshape(items, -1, x.shape[-1]) for x in side], dim=1) for side in zip(*pairs, strict=True)
        ]
        return Matrix(Layer(*joined), weight, bias, layer.weight.shape)
    formed: dict[str, Tensor] = {}
    for a, _, b in calls:
        scale, shift = _scale_shift(layer, a, b)
        for name, g in ((weight, scale), (bias, shift)):
            if name:
                formed[name] = formed[name] + g if name in formed else g
    return Formed(formed)


def _patches(layer: nn.Conv2d, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """A convolution as a linear layer on patches, (b, T, in k k) and (b, T, out)."""
    size, padding = layer.kernel_size, layer.padding
    assert not isinstance(padding, str)
    columns = functional.unfold(a, size, dilation=layer.dilation, padding=padding, stride=layer.stride)
    return columns.mT, b.flatten(2).mT


def _scale_shift(layer: nn.Module, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the scale and the shift of a normalising layer, (b, width)."""
    if isinstance(layer, nn.BatchNorm2d):
        plain = functional.batch_norm(a, layer.running_mean, layer.running_var, eps=layer.eps)  # (b, width, h, w)
        return (b * plain).sum((2, 3)), b.sum((2, 3))
    assert isinstance(layer, nn.LayerNorm)
    plain = functional.layer_norm(a, layer.normalized_shape, eps=layer.eps)
    positions = tuple(range(1, a.ndim - len(layer.normalized_shape)))
    both = (b * plain, b)
    scale, shift = (x.sum(positions) if positions else x for x in both)
    return scale, shift
