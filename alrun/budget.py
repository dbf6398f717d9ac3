"""How many labels to buy in each cycle: phases of (labels per cycle, cycles), in units of classes by default."""

from collections.abc import Sequence

from .config import BudgetConfig
from .errors import UserError


def schedule(budget: BudgetConfig, n_classes: int, pool: int) -> list[int]:
    """Batch sizes, one per acquisition."""
    sizes = [labels(phase.labels, budget, n_classes, pool) for phase in budget.phases for _ in range(phase.cycles)]
    if not all(sizes):
        raise UserError(f"{budget.phases[0].labels} percent of {pool} items is none", "budget.unit=labels")
    return sizes


def initial_size(budget: BudgetConfig, n_classes: int, pool: int) -> int:
    """Labels drawn before the first cycle; 0 is a cold start."""
    if budget.initial == "one_per_class":
        return n_classes
    if budget.initial == "random":
        return labels(budget.initial_labels, budget, n_classes, pool)
    return 0


def labels(count: int, budget: BudgetConfig, n_classes: int, pool: int) -> int:
    """A count in the budget's unit as a number of labels."""
    return {"classes": count * n_classes, "labels": count, "percent": count * pool // 100}[budget.unit]


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
            (f"lower the cycles to {affordable}" if affordable else "lower the labels of a cycle")
            + ", or budget.clip=true stops when the pool is used up",
        )
    served, left = [], max(0, pool - start)
    for size in batches:
        if left == 0:
            break
        served.append(min(size, left))
        left -= served[-1]
    return served
