"""CountSketch of gradients: every parameter is added with a sign to one of few numbers (Charikar et al. 2002).

Inner products of sketches are unbiased for those of the gradients, with a variance of about |g|^2 |h|^2 / width. Costs
P an example where a dense +-1 matrix costs P x width. Sketch training and target gradients with the same hash.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .ghost import Layer


class Hash(NamedTuple):
    """Where each of P parameters goes, and with which sign."""

    bucket: Tensor  # (P,) int64
    sign: Tensor  # (P,) -1 or 1
    width: int

    def part(self, start: int, size: int) -> "Hash":
        """The hash of some neighbouring parameters."""
        return Hash(self.bucket[start : start + size], self.sign[start : start + size], self.width)


def draw_hash(parameters: int, width: int, rng: np.random.Generator) -> Hash:
    """A uniform hash of `parameters` numbers into `width`."""
    bucket, sign = rng.integers(width, size=parameters), rng.integers(2, size=parameters, dtype=np.int8) * 2 - 1
    return Hash(torch.from_numpy(bucket), torch.from_numpy(sign), width)


def count_sketch(gradients: Tensor, hashed: Hash) -> Tensor:
    """out[bucket[p]] += sign[p] g[p] for flat gradients (n, P): (n, width)."""
    sketch = gradients.new_zeros(len(gradients), hashed.width)
    return sketch.index_add_(1, hashed.bucket, gradients * hashed.sign)


def layer_sketch(layer: Layer, hashed: Hash) -> Tensor:
    """The sketch of a linear layer's weight gradients, flattened row by row, (n, width).

    One row of the weights at a time: what is held is (n, in), never (n, out x in).
    """
    n, _, width = layer.inputs.shape
    sketch = layer.inputs.new_zeros(n, hashed.width)
    for row, b in enumerate(layer.outputs.unbind(2)):  # b (n, T)
        gradients = torch.einsum("nt,nti->ni", b, layer.inputs)
        sketch += count_sketch(gradients, hashed.part(row * width, width))
    return sketch
