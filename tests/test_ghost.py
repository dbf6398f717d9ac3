"""Products of per-example gradients, against gradients that autograd takes one example at a time."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from alrun.numerics import ghost
from alrun.numerics.ghost import Layer
from alrun.numerics.per_example import directional, per_example_gradients, per_example_losses
from alrun.numerics.sketch import count_sketch, draw_hash, layer_sketch

N, IN, OUT, R, SCALE = 6, 5, 4, 2, 1.5
Loss = Callable[[dict[str, Tensor], Tensor, Tensor], Tensor]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.as_tensor(np.random.default_rng([seed, *shape]).normal(size=shape))


WEIGHTS = {"weight": random(OUT, IN), "bias": random(OUT), "down": random(R, IN), "up": random(OUT, R)}


def outputs(params: dict[str, Tensor], x: Tensor) -> Tensor:
    """A linear layer with an adapter, at every position."""
    return linear(x, params["weight"], params["bias"]) + SCALE * x @ params["down"].T @ params["up"].T


def loss(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Mean over the positions that have a label; -100 is padding."""
    return cross_entropy(outputs(params, x).tanh(), y)


def world(positions: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs (n, T, in) and labels (n, T), with padding at the end of some examples."""
    rng = np.random.default_rng([positions, seed])
    labels = torch.as_tensor(rng.integers(OUT, size=(N, positions)))
    for i in range(0, N, 2):
        labels[i, 1 + i // 2 :] = -100
    return random(N, positions, IN, seed=seed), labels


def one_by_one(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Gradients (n, ...) of every weight by a loop."""
    rows = []
    for example in zip(x, y, strict=True):
        leaves = {name: value.clone().requires_grad_() for name, value in WEIGHTS.items()}
        rows.append(torch.autograd.grad(loss(leaves, *example), list(leaves.values())))
    return {name: torch.stack(each) for name, each in zip(WEIGHTS, zip(*rows, strict=True), strict=True)}


def seen(x: Tensor, y: Tensor) -> Layer:
    """The layer's inputs and output gradients, from one backward pass of the summed loss."""
    z = outputs(WEIGHTS, x).requires_grad_()
    total = sum(cross_entropy(logits.tanh(), labels) for logits, labels in zip(z, y, strict=True))
    return Layer(x, torch.autograd.grad(total, z)[0])


@pytest.mark.parametrize("positions", [1, 3, 9])
@pytest.mark.parametrize("cells", [1, 30, 1 << 20])
def test_products_are_those_of_the_gradients_that_autograd_takes(positions: int, cells: int) -> None:
    left, right = world(positions), world(positions + 2, seed=1)
    a, b = seen(*left), seen(*right)
    g, h = ({name: value.flatten(1) for name, value in one_by_one(*part).items()} for part in (left, right))
    torch.testing.assert_close(ghost.weight_gradients(a).flatten(1), g["weight"])
    torch.testing.assert_close(ghost.bias_gradients(a), g["bias"])
    torch.testing.assert_close(ghost.gram(a, b, cells=cells), g["weight"] @ h["weight"].T)
    both = g["weight"] @ h["weight"].T + g["bias"] @ h["bias"].T
    torch.testing.assert_close(ghost.gram(ghost.with_bias(a), ghost.with_bias(b), cells=cells), both)
    torch.testing.assert_close(ghost.squared_norms(a, cells=cells), g["weight"].square().sum(1))
    target = random(3, OUT, IN)
    torch.testing.assert_close(ghost.products(a, target), g["weight"] @ target.flatten(1).T)
    torch.testing.assert_close(ghost.products(a, target[0]), g["weight"] @ target[0].flatten())


def test_an_adapter_is_two_layers() -> None:
    left, right = world(3), world(4, seed=1)
    g, h = one_by_one(*left), one_by_one(*right)
    mine, theirs = (
        ghost.lora_layers(seen(*part), WEIGHTS["down"], WEIGHTS["up"], scale=SCALE) for part in (left, right)
    )
    expected = torch.zeros(N, N, dtype=torch.float64)
    for name, layer in zip(["down", "up"], mine, strict=True):
        torch.testing.assert_close(ghost.weight_gradients(layer), g[name])
        expected += g[name].flatten(1) @ h[name].flatten(1).T
    torch.testing.assert_close(sum(ghost.gram(a, b) for a, b in zip(mine, theirs, strict=True)), expected)


def test_a_projection_from_both_sides_is_a_smaller_layer() -> None:
    layer, p_in, p_out = seen(*world(3)), random(2, IN), random(3, OUT)
    full = ghost.weight_gradients(layer)
    torch.testing.assert_close(ghost.weight_gradients(ghost.projected(layer, p_in, p_out)), p_out @ full @ p_in.T)


def test_the_sketch_of_a_layer_is_that_of_its_flat_gradients() -> None:
    layer, hashed = seen(*world(3)), draw_hash(OUT * IN, 7, np.random.default_rng(0))
    flat = ghost.weight_gradients(layer).flatten(1)
    expected = torch.zeros(N, 7, dtype=torch.float64)
    for p in range(OUT * IN):
        expected[:, hashed.bucket[p]] += hashed.sign[p] * flat[:, p]
    torch.testing.assert_close(count_sketch(flat, hashed), expected)
    torch.testing.assert_close(layer_sketch(layer, hashed), expected)


def test_products_of_sketches_are_unbiased() -> None:
    g = random(2, 50)
    rng = np.random.default_rng(0)
    sketches = torch.stack([count_sketch(g, draw_hash(50, 16, rng)) for _ in range(2000)])  # (draws, 2, 16)
    products = (sketches[:, 0] * sketches[:, 1]).sum(1)
    assert abs(products.mean() - g[0] @ g[1]) < 4 * products.std() / 2000**0.5
    assert products.var() < 2 * g[0].square().sum() * g[1].square().sum() / 16


class Largest(TorchDispatchMode):
    """The number of entries of the largest tensor that any operation returned."""

    entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.entries = max([self.entries, *sizes])
        return result


def test_no_gradient_is_formed_where_products_are_enough() -> None:
    layer = Layer(random(20, 3, 64), random(20, 3, 48))
    hashed = draw_hash(64 * 48, 32, np.random.default_rng(0))
    target = random(48, 64)
    with Largest() as watched:
        ghost.gram(layer, layer)
        ghost.squared_norms(layer)
        ghost.products(layer, target)
        layer_sketch(layer, hashed)
    assert 0 < watched.entries <= 20 * 3 * 64 < 20 * 64 * 48
    long = Layer(random(20, 70, 8), random(20, 70, 6))  # T^2 pairs of positions are more than the 48 entries
    with Largest() as watched:
        ghost.squared_norms(long, cells=96)
    assert watched.entries <= long.inputs.numel()


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_gradients_of_any_loss_and_their_products_in_forward_mode(chunk: int) -> None:
    x, y = world(3)
    expected = torch.cat([value.flatten(1) for value in one_by_one(x, y).values()], dim=1)
    padded = torch.where(y < 0, 0, y)  # indexing by a label needs one where vmap runs

    def masked(params: dict[str, Tensor], x: Tensor, y: Tensor, counts: Tensor) -> Tensor:
        return (cross_entropy(outputs(params, x).tanh(), y, reduction="none") * counts).sum() / counts.sum()

    batch = (x, padded, (y >= 0).double())
    gradients = per_example_gradients(masked, WEIGHTS, *batch, chunk=chunk)
    torch.testing.assert_close(gradients, expected)
    direction = random(gradients.shape[1])
    torch.testing.assert_close(directional(masked, WEIGHTS, direction, *batch), expected @ direction)
    losses = torch.stack([loss(WEIGHTS, *example) for example in zip(x, y, strict=True)])
    torch.testing.assert_close(per_example_losses(masked, WEIGHTS, *batch), losses)
