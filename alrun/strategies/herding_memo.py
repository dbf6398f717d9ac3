"""What MaxHerding keeps from cycle to cycle, and when it may."""

import torch
from torch import Tensor

from ..numerics.coverage import Greedy
from ..numerics.kernels import Kernel
from ..numerics.rows import Rows
from ..types import View


class Kept:
    """Greedy coverage of `items`, begun when `centres` were labelled."""

    def __init__(self, items: Tensor, centres: Tensor, greedy: Greedy) -> None:
        self.items, self.centres, self.greedy = items, centres.sort().values, greedy
        self.fingerprint = greedy.rows.fingerprint()  # (n,)

    def serves(self, view: View, kernel: Kernel, sigma: float) -> bool:
        """Whether it goes on where the view is, after covering what was labelled since; False if not the same pool.

        The same kernel and features, everything labelled then labelled still, every pick bought.
        """
        rows = self.greedy.rows
        if (kernel, sigma) != (rows.kernel, rows.sigma):
            return False
        labelled = view.labelled.sort().values
        bought = torch.isin(self.items, labelled)  # (n,)
        known = len(self.items) - int(bought.sum()) == len(view.unlabelled)
        known = known and torch.equal(self.items[~bought], view.unlabelled)
        known = known and len(labelled) == len(self.centres) + int(bought.sum())
        picked = self.greedy.bound < 0  # (n,)
        if not known or not bool(torch.isin(self.centres, labelled).all()) or bool((picked & ~bought).any()):
            return False
        now = Rows(view.signals.features(self.items), kernel, sigma, block=rows.block)
        if not torch.allclose(now.fingerprint(), self.fingerprint, rtol=0, atol=1e-6):
            return False
        self.greedy.rows = now
        for position in (bought & ~picked).nonzero().flatten().tolist():
            self.greedy.label(position)
        return True
