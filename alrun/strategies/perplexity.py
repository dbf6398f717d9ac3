"""Instruction data by how well the current model predicts their completions: nothing of a target is looked at."""

import torch

from ..needs import Need
from ..numerics.ranking import highest
from ..registry import strategy
from ..types import Selection, Size, View


def memory(size: Size) -> int:
    """Four numbers per item."""
    return 48 * size.pool


@strategy(memory=memory, needs=[Need.completions])
def perplexity(view: View, n: int) -> Selection:
    """The least expected completions: highest mean negative log-likelihood of a token, in nats.

    Perplexity is its exponential and ranks alike. What is noise or in another language ranks high too.
    """
    nll = view.signals.completions(view.unlabelled).nll  # (u,)
    picks = highest(nll, n)
    return Selection(view.unlabelled[picks], nll[picks])


@strategy(memory=memory, needs=[Need.completions])
def mid_perplexity(view: View, n: int) -> Selection:
    """Neither known already nor out of reach: perplexity ranks closest to the pool's median rank (Marion et al. 2023).

    Scores are minus the distance in ranks, so that the best come first.
    """
    nll = view.signals.completions(view.unlabelled).nll  # (u,)
    rank = torch.empty_like(nll)
    rank[nll.argsort(stable=True)] = torch.arange(len(nll), dtype=nll.dtype, device=nll.device)
    score = -(rank - (len(nll) - 1) / 2).abs()  # (u,)
    picks = highest(score, n)
    return Selection(view.unlabelled[picks], score[picks])


@strategy(memory=memory, needs=[Need.completions])
def token_entropy(view: View, n: int) -> Selection:
    """Where the model is least sure of the next token: highest mean entropy along the completion, in nats.

    The completion's own tokens are read, not scored: a surprising answer to a clear question ranks low.
    """
    entropy = view.signals.completions(view.unlabelled).entropy  # (u,)
    picks = highest(entropy, n)
    return Selection(view.unlabelled[picks], entropy[picks])
