"""Greedy maximisation of weighted coverage, sum_n w_n max_s k(x_n, x_s): Bae et al. 2024, 2025."""

import torch
from torch import Tensor

from .distances import squared_distances
from .kernels import Kernel, similarity


def covered_by(points: Tensor, centres: Tensor, kernel: Kernel, sigma: float, *, block: int) -> Tensor:
    """(u,) largest similarity of each point to a centre, 0 without centres. Rows float64 of length 1."""
    covered = points.new_zeros(len(points))
    for part in centres.split(block) if len(centres) else ():
        for start in range(0, len(points), block):
            rows = slice(start, start + block)
            near = similarity(squared_distances(points[rows], part, chunk=block), kernel, sigma)  # (block, block)
            covered[rows] = torch.maximum(covered[rows], near.amax(1))
    return covered


def greedy(
    points: Tensor, weights: Tensor, covered: Tensor, kernel: Kernel, sigma: float, n: int, *, block: int
) -> tuple[Tensor, Tensor]:
    """Positions (n,) and gains (n,) of the greedy picks among `points` (u, F), float64 rows of length 1.

    Gains never grow as points get covered, so an old gain is an upper bound and only leaders are computed anew
    (lazy greedy, Minoux 1978).
    """
    covered = covered.clone()
    noise = 1e-13 * weights.sum().item()

    def columns(at: Tensor) -> Tensor:
        parts = [squared_distances(part, points[at], chunk=block) for part in points.split(block)]
        return similarity(torch.cat(parts), kernel, sigma)  # (u, len(at))

    def gains(near: Tensor) -> Tensor:
        return weights @ (near - covered[:, None]).clamp_(min=0)

    everyone = torch.arange(len(points), device=points.device)
    bound = torch.cat([gains(columns(at)) for at in everyone.split(block)])  # (u,)
    picks, scores = [], []
    for _ in range(n):
        fresh = torch.zeros_like(bound, dtype=torch.bool)
        while True:
            leaders = bound.topk(min(32, len(bound))).indices
            stale = leaders[~fresh[leaders]]
            best = bound[fresh].max().item() if fresh.any() else -1.0
            if not len(stale) or bound[stale].max().item() < best * (1 - 1e-12) - noise:
                break
            bound[stale] = gains(columns(stale))
            fresh[stale] = True
        gain = bound.max().item()
        tied = bound >= (gain * (1 - 1e-12) if gain > noise else 0) - noise
        pick = (tied & (bound >= 0)).nonzero()[0]
        scores.append(gain if gain > noise else 0.0)
        picks.append(pick)
        covered = torch.maximum(covered, columns(pick)[:, 0])
        bound[pick] = -1
    return torch.cat(picks), torch.tensor(scores, dtype=torch.float64, device=points.device)
