"""How unsure a predicted distribution is. Larger is more uncertain; 0 is certain."""

from enum import StrEnum

import torch
from torch import Tensor


class Uncertainty(StrEnum):
    """Which measure of doubt."""

    margin = "margin"
    entropy = "entropy"
    confidence = "confidence"


def margin(probs: Tensor) -> Tensor:
    """(n,) 1 - (p1 - p2), p1 and p2 the two largest probabilities."""
    first, second = probs.topk(2, dim=1).values.unbind(1)  # (n,)
    return 1 - (first - second)


def entropy(probs: Tensor) -> Tensor:
    """(n,) -sum p ln p in nats, with 0 ln 0 = 0."""
    return torch.special.entr(probs).sum(1)


def least_confidence(probs: Tensor) -> Tensor:
    """(n,) 1 - p1, p1 the largest probability."""
    return 1 - probs.amax(1)


MEASURES = {Uncertainty.margin: margin, Uncertainty.entropy: entropy, Uncertainty.confidence: least_confidence}
