"""How many labels to buy in each cycle: phases of (labels per cycle, cycles), in units of classes by default."""

from collections.abc import Sequence

from .config import BudgetConfig
from .errors import UserError


def schedule(budget: BudgetConfig, n_classes: int) -> list[int]:
    """Batch sizes, one per acquisition."""
    unit = n_classes if budget.unit == "classes" else 1
    return [phase.labels * unit for phase in budget.phases for _ in range(phase.cycles)]


def initial_size(budget: BudgetConfig, n_classes: int) -> int:
    """Labels drawn before the first cycle; 0 is a cold start."""
    if budget.initial == "one_per_class":
        return n_classes
    if budget.initial == "random":
        return budget.initial_labels * (n_classes if budget.unit == "classes" else 1)
    return 0


def fit(batches: Sequence[int], start: int, pool: int, clip: bool) -> list[int]:
    """The batches that a pool can serve.

    Raises UserError when it has too few items, unless `clip`: then the last batches are cut where it is used up.
    """
    wanted = start + sum(batches)
    if wanted <= pool:
        return list(batches)
    if not clip:
        affordable, spent = 0, start
        for size in batches:
            spent += size
            affordable += spent <= pool
        raise UserError(
            f"the budget asks for {wanted} labels, the pool has {pool} items",
            f"lower the cycles to {affordable}, or budget.clip=true stops when the pool is used up",
        )
    served, left = [], max(0, pool - start)
    for size in batches:
        if left == 0:
            break
        served.append(min(size, left))
        left -= served[-1]
    return served
