"""k-means++ among last-layer gradients, which are never built.

The gradient of item i is the outer product q_i h_i^T of its residual q (C,) and its embedding h (D,), so
|q h^T - r g^T|^2 = |q|^2 |h|^2 + |r|^2 |g|^2 - 2 (q.r)(h.g): O(C + D) a pair instead of O(C D).
"""

import math

import numpy as np
import torch
from torch import Tensor

NEAR = 1e-6  # relative squared distance below which the formula above has lost too many digits


def residuals(probs: Tensor) -> Tensor:
    """(n, C) one-hot of the predicted class minus p."""
    predicted = probs.argmax(1, keepdim=True)  # (n, 1)
    return (-probs).scatter_add_(1, predicted, torch.ones_like(probs[:, :1]))


def squared_norms(residual: Tensor, embeddings: Tensor) -> Tensor:
    """(n,) squared lengths of the gradients."""
    q, h = (torch.linalg.vector_norm(x, dim=1) for x in (residual, embeddings))
    return (q * h).square_()


def squared_distances(q: Tensor, h: Tensor, r: Tensor, g: Tensor) -> Tensor:
    """(n, m) squared distances between the gradients q h^T and r g^T, float64; exactly 0 for equal pairs (q, h)."""
    both = squared_norms(q, h)[:, None] + squared_norms(r, g)  # (n, m)
    squared = both - 2 * (q @ r.T) * (h @ g.T)
    i, j = (squared <= NEAR * both).nonzero(as_tuple=True)
    dq, dh = q[i] - r[j], h[i] - g[j]  # q h - r g = q (h - g) + (q - r) g: no large terms that cancel
    cross = 2 * (q[i] * dq).sum(1) * (dh * g[j]).sum(1)
    near = q[i].square().sum(1) * dh.square().sum(1) + dq.square().sum(1) * g[j].square().sum(1) + cross
    squared[i, j] = near.where(near > 1e-14 * both[i, j], 0)
    return squared


def squared_to_nearest(residual: Tensor, embeddings: Tensor, picks: list[int], *, block: int) -> Tensor:
    """(n,) squared distance of every gradient to the nearest picked one, float64."""
    r, g = residual[picks].double(), embeddings[picks].double()  # (m, C), (m, D)
    parts = zip(residual.split(block), embeddings.split(block), strict=True)
    squared = torch.cat([squared_distances(q.double(), h.double(), r, g).amin(1) for q, h in parts])
    squared[picks] = 0
    return squared


class Spread:
    """Draws with probability proportional to the squared distance to the nearest pick, exactly and mostly unseen.

    `bound` is at least the squared distance of every item. Proposals come from it and pass with probability distance /
    bound, their distances being computed one by one in float64; so a stale or rounded bound costs proposals, not truth.
    It is brought up to date for `proposals` new picks at once, by one matrix product.
    """

    def __init__(self, residual: Tensor, embeddings: Tensor, rng: np.random.Generator, block: int) -> None:
        self.residual, self.embeddings, self.rng, self.block = residual, embeddings, rng, block
        eps = torch.finfo(embeddings.dtype).eps
        self.margin = 1 + 8 * eps * math.sqrt(max(residual.shape[1], embeddings.shape[1]))
        self.norms = squared_norms(residual, embeddings) * self.margin  # (u,)
        self.bound = torch.full_like(self.norms, math.inf)
        self.picks: list[int] = []
        self.scores: list[float] = []

    def add(self, pick: int, score: float) -> None:
        """Take an item."""
        self.picks.append(pick)
        self.scores.append(score)

    def longest(self) -> tuple[int, float]:
        """The item with the longest gradient, the lowest position among equals, and its squared length."""
        leaders = (self.norms >= self.norms.max() / self.margin**2).nonzero().flatten()
        exact = squared_norms(self.residual[leaders].double(), self.embeddings[leaders].double())
        best = int(exact.argmax())
        return int(leaders[best]), float(exact[best])

    def lower(self, picks: list[int]) -> None:
        """Bring the bound down to the distances to these picks, up to rounding."""
        for start in range(0, len(self.bound), self.block):
            rows = slice(start, start + self.block)
            squared = self.residual[rows] @ self.residual[picks].T  # (block, m)
            squared.mul_(self.embeddings[rows] @ self.embeddings[picks].T).mul_(-2).add_(self.norms[picks])
            nearest = squared.amin(1).add_(self.norms[rows]).clamp_(min=0)
            self.bound[rows] = torch.minimum(self.bound[rows], nearest)
        self.bound[self.picks] = 0

    def draw(self, n: int, proposals: int) -> int:
        """Take up to n items among `proposals` proposals; how many were taken."""
        mass = self.bound.cumsum(0, dtype=torch.float64)  # (u,)
        total = float(mass[-1])
        if total <= 0:
            return 0
        throws = torch.from_numpy(total * self.rng.random(proposals)).to(mass.device)
        drawn = torch.searchsorted(mass, throws, right=True).clamp_(max=len(mass) - 1)  # (proposals,)
        q, h = self.residual[drawn].double(), self.embeddings[drawn].double()
        r, g = self.residual[self.picks].double(), self.embeddings[self.picks].double()
        nearest = squared_distances(q, h, r, g).amin(1).cpu().numpy()  # (proposals,)
        among = squared_distances(q, h, q, h).cpu().numpy()  # (proposals, proposals)
        limits = self.rng.random(proposals) * self.bound[drawn].double().cpu().numpy()
        taken = 0
        for t, item in enumerate(drawn.tolist()):
            if taken < n and limits[t] < nearest[t]:
                self.add(item, float(nearest[t]))
                nearest = np.minimum(nearest, among[t])
                nearest[t] = 0
                taken += 1
        return taken


def spread(
    residual: Tensor, embeddings: Tensor, n: int, rng: np.random.Generator, *, proposals: int, block: int
) -> tuple[Tensor, Tensor]:
    """Positions (n,) of a k-means++ draw among gradients, and their squared distances (n,) when picked, float64.

    The first is the longest gradient. When all that is left coincides with a pick, the rest is uniform.
    """
    state = Spread(residual, embeddings, rng, block)
    state.add(*state.longest())
    state.lower(state.picks)
    exact = False
    while len(state.picks) < n:
        taken = state.draw(n - len(state.picks), proposals)
        if taken:
            exact = False
            state.lower(state.picks[-taken:])
        elif not exact:  # the bound is mostly rounding error
            state.bound = squared_to_nearest(residual, embeddings, state.picks, block=block)
            exact = True
        elif float(state.bound.sum()) == 0:
            free = np.setdiff1d(np.arange(len(residual)), state.picks)
            for pick in rng.choice(free, n - len(state.picks), replace=False).tolist():
                state.add(pick, 0.0)
    device = embeddings.device
    return torch.tensor(state.picks, device=device), torch.tensor(state.scores, dtype=torch.float64, device=device)
