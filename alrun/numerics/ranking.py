"""The highest scores, in a fixed order."""

import torch
from torch import Tensor


def highest(scores: Tensor, n: int) -> Tensor:
    """Positions (n,) of the n largest scores, largest first, equal ones lowest position first. O(N), no full sort.

    Raises ArithmeticError where a score is no number: it has no place in an order.
    """
    if n < 1:
        return scores.new_empty(0, dtype=torch.int64)
    if bool(scores.isnan().any()):
        raise ArithmeticError(f"{int(scores.isnan().sum())} of {len(scores)} scores are no numbers")
    last = scores.topk(n).values[-1]
    above = (scores > last).nonzero().flatten()
    equal = (scores == last).nonzero().flatten()[: n - len(above)]
    chosen = torch.cat([above, equal])
    return chosen[scores[chosen].argsort(descending=True, stable=True)]
