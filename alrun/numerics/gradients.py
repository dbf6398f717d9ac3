"""Sampling in the space of last-layer gradients, which is never built."""

import numpy as np
import torch
from torch import Tensor


def residuals(probs: Tensor) -> Tensor:
    """(n, C) one-hot of the predicted class minus p: the last layer's gradient is residual x embedding, negated."""
    hot = torch.zeros_like(probs).scatter_(1, probs.argmax(1, keepdim=True), 1)
    return hot - probs


def gradient_distances(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> Tensor:
    """(n, m) squared distances of outer products q h^T, given as (q (n, C), h (n, D)) and (q (m, C), h (m, D)).

    |q h^T - r g^T|^2 = |q|^2 |h|^2 + |r|^2 |g|^2 - 2 (q.r)(h.g): O(n m (C + D)) rather than O(n m C D).
    """
    (q, h), (r, g) = left, right
    squared = (q @ r.T) * (h @ g.T) * -2
    squared += (q.square().sum(1) * h.square().sum(1))[:, None]
    return (squared + r.square().sum(1) * g.square().sum(1)).clamp_(min=0)


def spread(residual: Tensor, embeddings: Tensor, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Positions (n,) drawn by k-means++ on the gradients residual x embedding, and their squared distances (n,)."""
    q, h = residual.double(), embeddings.double()
    squared = q.square().sum(1) * h.square().sum(1)  # (u,) to the nearest pick
    picks, scores = [], []
    for step in range(n):
        if step == 0:
            pick = int(squared.argmax())
        elif float(squared.sum()) > 0:
            total = squared.cumsum(0)
            pick = int(torch.searchsorted(total, float(total[-1]) * rng.random(), right=True))
        else:
            free = np.setdiff1d(np.arange(len(q)), picks)
            pick = int(rng.choice(free))
        picks.append(pick)
        scores.append(squared[pick])
        near = gradient_distances((q, h), (q[[pick]], h[[pick]]))[:, 0]
        near[near < 1e-14 * squared.max()] = 0
        near[pick] = 0
        squared = near if step == 0 else torch.minimum(squared, near)
    return torch.tensor(picks, device=q.device), torch.stack(scores)
