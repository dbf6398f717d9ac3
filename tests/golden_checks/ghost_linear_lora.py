"""ghost_linear_lora: gradients of a linear layer and its adapter, and their products without them."""

from collections.abc import Callable

import torch
from torch import Tensor

from alrun.numerics import ghost
from alrun.numerics.ghost import Layer
from alrun.numerics.sketch import Hash, count_sketch, layer_sketch

from . import check
from .formulas import compare, tolerance
from .golden_file import Golden

SMALL = 40  # entries of a temporary: one or two examples at a time


class Layers:
    """The layer as the two sets of examples saw it."""

    def __init__(self, golden: Golden) -> None:
        self.golden = golden

    def given(self, key: str) -> Tensor:
        value = torch.from_numpy(self.golden[key])
        return value.double() if value.is_floating_point() else value

    def layer(self, part: str) -> Layer:
        """Output gradients are zero at padded positions."""
        outputs = self.given(f"b_{part}")
        if f"mask_{part}" in self.golden:
            outputs = outputs * self.given(f"mask_{part}")[:, :, None]
        return Layer(self.given(f"a_{part}"), outputs)

    def lora(self, part: str) -> tuple[Layer, Layer]:
        scale = self.golden.number("lora_alpha") / self.golden.number("lora_r")
        return ghost.lora_layers(self.layer(part), self.given("lora_A"), self.given("lora_B"), scale=scale)

    def small(self, part: str) -> Layer:
        return ghost.projected(self.layer(part), self.given("P_in"), self.given("P_out"))

    def gram(self, layer: Callable[[str], Layer]) -> Tensor:
        return ghost.gram(layer("train"), layer("val"), cells=SMALL)

    def hash(self) -> Hash:
        width = self.golden.arrays["exp_countsketch_train"].shape[1]
        return Hash(self.given("sketch_bucket").long(), self.given("sketch_sign"), width)


FORMULAS: dict[str, Callable[[Layers], Tensor]] = {
    "W_grad_train": lambda f: ghost.weight_gradients(f.layer("train")),
    "W_grad_val": lambda f: ghost.weight_gradients(f.layer("val")),
    "bias_grad_train": lambda f: ghost.bias_gradients(f.layer("train")),
    "gram_W": lambda f: f.gram(f.layer),
    "gram_W_bias": lambda f: f.gram(lambda part: ghost.with_bias(f.layer(part))),
    "sqnorm_W_train": lambda f: ghost.squared_norms(f.layer("train"), cells=SMALL),
    "lora_A_grad_train": lambda f: ghost.weight_gradients(f.lora("train")[0]),
    "lora_B_grad_train": lambda f: ghost.weight_gradients(f.lora("train")[1]),
    "gram_lora": lambda f: f.gram(lambda part: f.lora(part)[0]) + f.gram(lambda part: f.lora(part)[1]),
    "kron_train": lambda f: ghost.weight_gradients(f.small("train")),
    "gram_kron": lambda f: f.gram(f.small),
    "countsketch_train": lambda f: layer_sketch(f.layer("train"), f.hash()),
}


@check("ghost_linear_lora")
def ghost_linear_lora(golden: Golden) -> None:
    ours = Layers(golden)
    compare(golden, FORMULAS, ours)
    if "exp_countsketch_train" in golden:
        flat = FORMULAS["W_grad_train"](ours).flatten(1)
        key = "exp_countsketch_train"
        golden.close(key, count_sketch(flat, ours.hash()), **tolerance(golden, key))
    if "exp_gram_W" in golden:  # the same products against each target's formed gradient
        one_sided = ghost.products(ours.layer("train"), FORMULAS["W_grad_val"](ours))
        golden.close("exp_gram_W", one_sided, **tolerance(golden, "exp_gram_W"))
