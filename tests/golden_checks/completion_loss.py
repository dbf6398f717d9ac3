"""completion_loss: a language model's loss on the completion's tokens, example by example."""

from collections.abc import Callable

import torch
from torch import Tensor

from alrun.numerics.completion import CompletionLoss, completion_loss, logit_gradient

from . import check
from .formulas import compare, tolerance
from .golden_file import Golden


class Batch:
    """Logits and labels of the file."""

    def __init__(self, golden: Golden) -> None:
        self.logits = torch.from_numpy(golden["logits"]).double()  # (n, L, V)
        self.labels = torch.from_numpy(golden["labels"]).long()  # (n, L)

    @property
    def loss(self) -> CompletionLoss:
        return completion_loss(self.logits, self.labels)

    def autograd(self) -> Tensor:
        logits = self.logits.clone().requires_grad_()
        return torch.autograd.grad(completion_loss(logits, self.labels).mean.sum(), logits)[0]


FORMULAS: dict[str, Callable[[Batch], Tensor]] = {
    "n_tokens": lambda b: b.loss.tokens,
    "loss_sum": lambda b: b.loss.total,
    "loss_mean": lambda b: b.loss.mean,
    "logprob_sum": lambda b: b.loss.log_prob,
    "dlogits_of_mean": lambda b: logit_gradient(b.logits, b.labels),
    "batch_token_mean": lambda b: b.loss.batch_token_mean,
    "batch_example_mean": lambda b: b.loss.batch_example_mean,
}


@check("completion_loss")
def check_completion_loss(golden: Golden) -> None:
    batch = Batch(golden)
    compare(golden, FORMULAS, batch)
    if (key := "exp_dlogits_of_mean") in golden:
        golden.close(key, batch.autograd(), **tolerance(golden, key))
