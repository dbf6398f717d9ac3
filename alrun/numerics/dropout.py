"""Predictions of a linear layer when part of its input is dropped."""

import numpy as np
import torch
from torch import Tensor


def dropped_predictions(
    x: Tensor, weight: Tensor, bias: Tensor, dropout: float, draws: int, rng: np.random.Generator, *, block: int
) -> Tensor:
    """(draws, n) predicted classes; each entry of x (n, D) is 0 with probability `dropout`, or else x / (1 - dropout).

    Masks are drawn item by item, so they do not depend on the block.
    """
    predicted = []
    for part in x.split(block):
        drawn = rng.random((len(part), draws, x.shape[1]), dtype=np.float32)  # (block, draws, D)
        kept = torch.from_numpy(drawn).to(x.device) >= dropout
        logits = (kept * (part / (1 - dropout))[:, None]) @ weight.T + bias  # (block, draws, C)
        predicted.append(logits.argmax(2))
    return torch.cat(predicted).T


def unstable(without: Tensor, predicted: Tensor, wanted: int) -> tuple[Tensor, int, Tensor]:
    """(n,) how many of the predictions (draws, n) differ from the one `without` dropout (n,), a threshold, and the
    positions above it, ascending. The threshold is half of the draws, or 0 where that leaves fewer than `wanted`.
    """
    contradictions = (predicted != without).sum(0)  # (n,)
    threshold = len(predicted) // 2
    if int((contradictions > threshold).sum()) < wanted:
        threshold = 0
    return contradictions, threshold, (contradictions > threshold).nonzero().flatten()
