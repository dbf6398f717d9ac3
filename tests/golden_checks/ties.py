"""Which picks a file may list where rows are alike or only rounding tells their scores apart."""

import numpy as np

TIED = 1e-12  # relative: the order of scores as near as this is up to rounding


def kinds(*parts: np.ndarray) -> np.ndarray:
    """(n,) the first row that is equal to each in all of these (n, ...) arrays."""
    rows = np.concatenate([np.asarray(part, float).reshape(len(part), -1) for part in parts], axis=1)
    _, first, kind = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first[kind.ravel()]


def lowest_first(picks: np.ndarray, kind: np.ndarray, free: np.ndarray) -> bool:
    """Whether of equal rows among the `free` the lowest are picked, in their order."""
    for of_kind in np.unique(kind[picks]):
        mine = picks[kind[picks] == of_kind]
        if not np.array_equal(mine, free[kind[free] == of_kind][: len(mine)]):
            return False
    return True


def greedy(picks: np.ndarray, scores: np.ndarray, twin: np.ndarray) -> bool:
    """Whether each pick has the best of its row of scores (b, n), NaN of what is no candidate, up to rounding; where
    none is above 0, it is the lowest candidate or its twin.
    """
    for pick, row in zip(picks, scores, strict=True):
        best, lowest = np.nanmax(row), int(np.flatnonzero(~np.isnan(row))[0])
        fair = twin[pick] == twin[lowest] if best == 0 else row[pick] >= best * (1 - TIED)
        if np.isnan(row[pick]) or not fair:
            return False
    return True


def gaps(scores: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """(b,) best minus second best of each row of scores (b, n), NaN where there is nothing to pick; as stored where
    fewer than two are finite.
    """
    best = -np.sort(np.where(np.isfinite(scores), -scores, np.inf), axis=1)[:, :2]  # (b, 2)
    fixed = np.isfinite(best).all(1)
    return np.where(fixed, np.subtract(*np.where(fixed[:, None], best, 0).T), stored)
