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
    """(n,) 1 - (p1 - p2), p1 and p2 the two largest probabilities; p2 is 0 where there is one class."""
    best = probs.topk(min(2, probs.shape[1]), dim=1).values  # (n, 2)
    return 1 - (best[:, 0] - best[:, 1:].sum(1))


def entropy(probs: Tensor) -> Tensor:
    """(n,) -sum p ln p in nats, with 0 ln 0 = 0."""
    return torch.special.entr(probs).sum(1)


def least_confidence(probs: Tensor) -> Tensor:
    """(n,) 1 - p1, p1 the largest probability."""
    return 1 - probs.amax(1)


MEASURES = {Uncertainty.margin: margin, Uncertainty.entropy: entropy, Uncertainty.confidence: least_confidence}
