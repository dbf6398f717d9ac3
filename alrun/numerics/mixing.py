"""ALFA-Mix in closed form: how far an item's embedding must be moved until a linear head changes its mind.

Mixing an embedding z with a class anchor z*, with the share of each dimension chosen by the first-order expansion of
the loss at the predicted label (Parvaneh et al. 2022, Eq. 5-7), moves z by eps |z* - z| along the gradient's direction,
whatever the anchor. So the prediction changes for some anchor exactly if eps max_c |z*_c - z| exceeds a step that needs
no anchor, and growing eps is comparing with a threshold rather than asking the head about every mixture. Blocks are
float64: a softmax in single precision calls an item certain, and its gradient zero, long before it is.
"""

import math

import torch
from torch import Tensor

BLOCK = 1024  # items measured at once


def class_anchors(embeddings: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """(C, D) float64 mean labelled embedding of each class; of all labelled items for a class without any."""
    embeddings = embeddings.double()
    sums = torch.zeros(n_classes, embeddings.shape[1], dtype=torch.float64, device=embeddings.device)
    sums.index_add_(0, labels, embeddings)
    counts = torch.bincount(labels, minlength=n_classes)[:, None]  # (C, 1)
    return torch.where(counts > 0, sums / counts.clamp(min=1), embeddings.mean(0))


def loss_directions(embeddings: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(n,) predicted class, (n, C) logits, and (n, D) unit gradients of the log-loss at the prediction.

    A gradient of zero (an item certain to the last digit) stays zero.
    """
    weight, bias = weight.to(embeddings.dtype), bias.to(embeddings.dtype)
    logits = embeddings @ weight.T + bias
    predicted = logits.argmax(1)
    residual = logits.softmax(1).scatter_(1, predicted[:, None], 0)
    residual.scatter_(1, predicted[:, None], -residual.sum(1, keepdim=True))  # p - e_y without cancellation
    gradient = residual @ weight
    length = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    return predicted, logits, gradient / length.where(length > 0, 1)


def critical_steps(embeddings: Tensor, weight: Tensor, bias: Tensor, *, block: int = BLOCK) -> Tensor:
    """(n,) float64 length of the shortest step along the gradient that changes the prediction; inf if none does."""
    weight, bias = weight.double(), bias.double()
    steps = []
    for part in embeddings.split(block):
        predicted, logits, direction = loss_directions(part.double(), weight, bias)
        slope = direction @ weight.T  # (block, C) change of the logits per unit of length
        gain = slope - slope.gather(1, predicted[:, None])
        gap = logits.gather(1, predicted[:, None]) - logits
        steps.append(torch.where(gain > 0, gap / gain.where(gain > 0, 1), math.inf).amin(1))
    return torch.cat(steps)


def anchor_distances(embeddings: Tensor, anchors: Tensor) -> Tensor:
    """(n, C) distance to every anchor; measured from their mean, so that a common offset costs no digits."""
    middle = anchors.mean(0)
    embeddings = embeddings - middle.to(embeddings.dtype)
    anchors = (anchors - middle).to(embeddings.dtype)
    squared = torch.addmm(anchors.square().sum(1), embeddings, anchors.T, alpha=-2)
    return squared.add_(embeddings.square().sum(1, keepdim=True)).clamp_(min=0).sqrt_()


def farthest_anchors(embeddings: Tensor, anchors: Tensor, *, block: int = BLOCK) -> Tensor:
    """(n,) float64 distance to the farthest anchor."""
    parts = [anchor_distances(part.double(), anchors).amax(1) for part in embeddings.split(block)]
    return torch.cat(parts)


def growing_caps(reach: Tensor, steps: Tensor, dim: int, wanted: int, cap_step: float) -> list[tuple[float, Tensor]]:
    """Each cap tried and the (n,) bool candidates under it, where cap / sqrt(D) x reach exceeds the critical step.

    Caps grow by `cap_step` until there are more than `wanted` candidates or the cap reaches 1; sets only grow.
    """
    tried: list[tuple[float, Tensor]] = []
    cap = 0.0
    while cap < 1:
        cap += cap_step
        tried.append((cap, cap / math.sqrt(dim) * reach > steps))
        if int(tried[-1][1].sum()) > wanted:
            break
    return tried
