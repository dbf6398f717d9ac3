"""First-order influence of one training example on a target, for a softmax head, without forming a gradient.

A step on example z changes the target's loss by minus the learning rate times <grad l(z), t>, where t is the
target's gradient (TracIn, Pruthi et al. 2020, eq. 1; LESS, Xia et al. 2024, sec. 2): a high score lowers it most.
For logits W h + b and log-loss the gradient at label y is the outer product (p - e_y) (h, 1)^T, so an item's gradient
is held as its residual q = p - e_y (C) and its embedding h (D), a target as a (C, D + 1) matrix whose last column
belongs to the bias, and the scores of all labels of all items cost one matrix product. Losses are in nats.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

ZERO = 1e-12  # a gradient no longer than this has no direction: its cosine with anything is 0
CELLS = 1 << 16  # entries of the largest temporary, (rows of a block) x C: it stays in the processor's cache

Reduce = Callable[[Tensor, slice], Tensor]


def sample_labels(probs: Tensor, uniform: np.ndarray) -> Tensor:
    """Labels drawn from the predictions: the first whose cumulative probability exceeds the uniform draw, (n, S)."""
    cumulative = probs.double().cumsum(1)  # (n, C)
    cumulative = cumulative / cumulative[:, -1:]
    draws = torch.as_tensor(uniform, dtype=torch.float64, device=probs.device)  # (n, S)
    return torch.searchsorted(cumulative, draws.contiguous(), right=True)


def residuals(probs: Tensor, labels: Tensor) -> Tensor:
    """p - e_y, (n, C); with several labels an item, (n, S), the mean over them.

    The largest entry is taken as minus the sum of the others: 1 - p_y keeps its digits for nearly certain items.
    """
    labels = labels if labels.ndim == 2 else labels[:, None]
    share = torch.full(labels.shape, -1 / labels.shape[1], dtype=probs.dtype, device=probs.device)
    residual = probs.scatter_add(1, labels, share)
    largest = labels if labels.shape[1] == 1 else residual.abs().argmax(1, keepdim=True)
    others = residual.scatter_(1, largest, 0).sum(1, keepdim=True)
    return residual.scatter_(1, largest, -others)


def norms(residual: Tensor, embeddings: Tensor) -> Tensor:
    """Length of each item's gradient, (n,). Embeddings are squared in blocks: no second copy of them is held."""
    squares = [embeddings[rows].square().sum(1) for rows in _blocks(embeddings, CELLS)]
    squared = torch.cat(squares) if squares else embeddings.new_empty(0)
    return residual.norm(dim=1) * (squared + 1).sqrt()


def mean_gradient(residual: Tensor, embeddings: Tensor) -> Tensor:
    """The mean of the items' gradients, (C, D + 1)."""
    return torch.cat([residual.T @ embeddings, residual.sum(0)[:, None]], dim=1) / len(residual)


def mean_unit_gradient(residual: Tensor, embeddings: Tensor) -> Tensor:
    """The mean of the items' gradients after each is scaled to length one, (C, D + 1)."""
    return mean_gradient(cosine(residual, norms(residual, embeddings)[:, None]), embeddings)


def unit(target: Tensor) -> Tensor:
    """The target at length one; a zero target stays zero."""
    return cosine(target, target.norm())


def cosine(products: Tensor, lengths: Tensor) -> Tensor:
    """Products over lengths; 0 where a length is zero."""
    return torch.where(lengths > ZERO, products / lengths.clamp_min(ZERO), 0)


def scores(residual: Tensor, embeddings: Tensor, target: Tensor, *, cosines: bool, cells: int = CELLS) -> Tensor:
    """<g, t> of each item, (n,); with `cosines` over the length of g (of t too, if the caller made t a unit vector)."""
    result = embeddings.new_empty(len(residual))
    for rows in _blocks(residual, cells):
        logits = torch.addmm(target[:, -1], embeddings[rows], target[:, :-1].T)  # (block, C) u = T (h, 1)
        result[rows] = (residual[rows] * logits).sum(1)
    return cosine(result, norms(residual, embeddings)) if cosines else result


def label_scores(probs: Tensor, embeddings: Tensor, target: Tensor, *, cosines: bool) -> Tensor:
    """<g_y, t> = p . u - u_y for every label, (n, C); with `cosines` over the length of g_y.

    A residual sums to zero, so u may be measured from the predicted label's: nothing cancels for certain items.
    """
    logits = torch.addmm(target[:, -1], embeddings, target[:, :-1].T)  # (n, C) u = T (h, 1)
    logits = logits - logits.gather(1, probs.argmax(1, keepdim=True))
    result = (probs * logits).sum(1, keepdim=True) - logits  # (n, C)
    return cosine(result, label_norms(probs, embeddings)) if cosines else result


def label_norms(probs: Tensor, embeddings: Tensor) -> Tensor:
    """Length of g_y for every label, (n, C): |p - e_y|^2 = |p|^2 - p_y^2 + (1 - p_y)^2, times |h|^2 + 1.

    Both differences are sums over the other labels: at the predicted label they are taken as such, where p is nearly
    certain nothing would be left of them. At any other label the predicted one's part outweighs what is taken away.
    """
    p = probs.double()
    top, best = p.max(1, keepdim=True)  # (n, 1)
    below = p.scatter(1, best, 0)  # (n, C)
    squares, rest = below.square().sum(1, keepdim=True), below.sum(1, keepdim=True)  # (n, 1)
    others = (squares + top.square() - below.square()).scatter(1, best, squares)  # (n, C)
    missing = (rest + top - below).scatter(1, best, rest)  # (n, C) 1 - p_y
    lengths = (embeddings.double().square().sum(1, keepdim=True) + 1) * (others + missing.square())
    return lengths.sqrt().to(probs.dtype)


def reduced_label_scores(
    probs: Tensor, embeddings: Tensor, target: Tensor, reduce: Reduce, *, cosines: bool, cells: int = CELLS
) -> Tensor:
    """`reduce(label scores (block, C), rows)` over blocks of items, (n,): the pool's (n, C) scores are never held."""
    result = embeddings.new_empty(len(probs))
    for rows in _blocks(probs, cells):
        result[rows] = reduce(label_scores(probs[rows], embeddings[rows], target, cosines=cosines), rows)
    return result


def products(residual: Tensor, embeddings: Tensor, item: int) -> Tensor:
    """<g_i, g_item> for every i, (n,): (q_i . q_item) (h_i . h_item + 1)."""
    return (residual @ residual[item]) * (embeddings @ embeddings[item] + 1)


def gradients(residual: Tensor, embeddings: Tensor) -> Tensor:
    """The gradients themselves, (n, C D + C), weights row by row and then the bias. For few items: Adam needs them."""
    return torch.cat([(residual[:, :, None] * embeddings[:, None, :]).flatten(1), residual], dim=1)


def _blocks(table: Tensor, cells: int) -> list[slice]:
    n, width = table.shape
    size = max(1, cells // max(1, width))
    return [slice(start, start + size) for start in range(0, n, size)]
