"""Loss of a causal language model on the tokens of the completion alone, example by example, in nats.

The logits at position t predict the label at t + 1; labels equal to IGNORED (prompt, padding) count for nothing.
Scores per example need the mean over its own tokens: a mean over the batch's tokens weighs long completions more.
"""

from typing import NamedTuple

import torch
from torch import Tensor

IGNORED = -100


class CompletionLoss(NamedTuple):
    """Per example: summed negative log-likelihood, number of tokens, and mean over them (0 without a token)."""

    total: Tensor  # (n,)
    tokens: Tensor  # (n,) int64
    mean: Tensor  # (n,)

    @property
    def log_prob(self) -> Tensor:
        """Log-probability of the whole completion, (n,)."""
        return -self.total

    @property
    def batch_token_mean(self) -> Tensor:
        """Mean over all tokens of the batch: what a language model's own loss returns."""
        return self.total.sum() / self.tokens.sum()

    @property
    def batch_example_mean(self) -> Tensor:
        """Mean over examples of their means."""
        return self.mean.mean()


def _predicted(labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Example, position and label of every prediction that counts, (k,) each: k completion tokens in the batch."""
    example, position = (labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
    return example, position, labels[example, position + 1]


def _widened(logits: Tensor) -> Tensor:
    """Half precision has too few digits for a sum over a vocabulary."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def completion_loss(logits: Tensor, labels: Tensor) -> CompletionLoss:
    """Loss from logits (n, L, V) and labels (n, L); differentiable. Only completion positions are normalised."""
    example, position, label = _predicted(labels)
    log_probs = _widened(logits[example, position]).log_softmax(1)  # (k, V)
    loss = -log_probs.gather(1, label[:, None])[:, 0]  # (k,)
    total = loss.new_zeros(len(labels)).index_add(0, example, loss)
    tokens = example.bincount(minlength=len(labels))
    return CompletionLoss(total, tokens, total / tokens.clamp_min(1))


def logit_gradient(logits: Tensor, labels: Tensor) -> Tensor:
    """Gradient of the examples' mean losses, each its own, with respect to the logits, (n, L, V): (p - e_y) / tokens.

    Zero at every position that predicts no completion token.
    """
    example, position, label = _predicted(labels)
    residual = _widened(logits[example, position]).softmax(1)  # (k, V)
    residual[torch.arange(len(label), device=label.device), label] -= 1
    tokens = example.bincount(minlength=len(labels))
    gradient = torch.zeros_like(logits)
    gradient[example, position] = (residual / tokens[example, None]).to(logits.dtype)
    return gradient


def dense_completion_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss (n,) from logits (n, K, V) and the labels (n, K) of the very same places, not of the next ones.

    No shape depends on what is in them, so vmap and forward derivatives can be taken of it.
    """
    counts = labels != IGNORED
    widened = _widened(logits)
    chosen = widened.gather(2, labels.clamp_min(0)[..., None])[..., 0]  # (n, K)
    loss = (widened.logsumexp(2) - chosen) * counts
    return loss.sum(1) / counts.sum(1).clamp_min(1)
