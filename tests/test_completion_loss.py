"""The completion's loss against torch's own, one example at a time."""

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from alrun.numerics.completion import IGNORED, completion_loss, logit_gradient

N, L, V = 5, 7, 11


def world() -> tuple[torch.Tensor, torch.Tensor]:
    """Completions of different length behind prompts; the last example has none."""
    rng = np.random.default_rng(0)
    labels = torch.as_tensor(rng.integers(V, size=(N, L)))
    for i in range(N):
        labels[i, : i + 1] = IGNORED
    labels[1, -2:] = IGNORED
    labels[-1] = IGNORED
    labels[0, 0] = 3  # no position predicts the first token
    return torch.as_tensor(rng.normal(size=(N, L, V))) * 3, labels


def test_each_example_is_scored_by_itself() -> None:
    logits, labels = world()
    ours = completion_loss(logits, labels)
    for i in range(N - 1):
        counted = (logits[i, :-1], labels[i, 1:])
        torch.testing.assert_close(ours.mean[i], cross_entropy(*counted))
        torch.testing.assert_close(ours.total[i], cross_entropy(*counted, reduction="sum"))
    assert ours.tokens.tolist() == [6, 3, 4, 3, 0]
    assert ours.total[-1] == ours.mean[-1] == 0
    torch.testing.assert_close(
        ours.batch_token_mean, cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    )
    assert not torch.isclose(ours.batch_token_mean, ours.batch_example_mean)


def test_the_gradient_is_autograds_and_zero_outside_the_completion() -> None:
    logits, labels = world()
    leaf = logits.clone().requires_grad_()
    expected = torch.autograd.grad(completion_loss(leaf, labels).mean.sum(), leaf)[0]
    ours = logit_gradient(logits, labels)
    torch.testing.assert_close(ours, expected)
    assert (ours[:, -1] == 0).all() and (ours[-1] == 0).all()
    assert (ours[:, :-1].abs().sum(2) > 0).equal(labels[:, 1:] != IGNORED)


def test_half_precision_is_summed_in_single() -> None:
    logits, labels = world()
    half = logits.bfloat16()
    ours = completion_loss(half, labels)
    assert ours.total.dtype == torch.float32
    torch.testing.assert_close(ours.total, completion_loss(half.float(), labels).total)
    assert logit_gradient(half, labels).dtype == torch.bfloat16
