"""EfficientNet-Lite0 from its package (Tan and Le 2019; Liu 2020), in a form that can be trained and adapted."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..pictures import lite_network, lite_pixels, lite_weights
from ..pretrained import fingerprint

SIDE = 128  # pixels a side, as the frozen encoder has it


class Lite(nn.Module):
    """The network without its classifier, called as transformers' networks are."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        """Maps (b, 1280, h, w)."""
        return SimpleNamespace(last_hidden_state=self.network.extract_features(pixel_values))


def lite() -> tuple[Callable[[Sequence[np.ndarray]], Tensor], nn.Module]:
    """Reader of pictures and network, with the weights of the package."""
    network = lite_network(located_weights(), SIDE)
    network._fc = nn.Identity()
    _plain(network)
    return partial(lite_pixels, side=SIDE), Lite(network)


def located_weights() -> Path:
    """Where the weights lie."""
    return lite_weights("model.path=efficientnet", "another model.path, or model=linear")


def lite_digest() -> dict[str, str]:
    """File name -> sha256 of the weights."""
    path = located_weights()
    return {path.name: fingerprint(path)}


def _plain(module: nn.Module) -> None:
    """Pointwise convolutions as torch's own, with the same weights: adapters cannot be built of the package's class."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.kernel_size == (1, 1) and type(child) is not nn.Conv2d:
            copy = nn.Conv2d(child.in_channels, child.out_channels, 1, bias=child.bias is not None)
            copy.weight = child.weight
            copy.bias = child.bias
            setattr(module, name, copy)
        else:
            _plain(child)
