"""Greedy coverage by brute force: what every candidate would have gained at every step. float64."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Steps:
    """What happens when `picks` are made one after the other; means over the whole pool."""

    picks: np.ndarray  # (b,)
    gains: np.ndarray  # (b, N) nan where a point is no candidate any more
    start: float  # coverage by the labelled set alone
    objective: np.ndarray  # (b,) coverage after each pick

    def gained(self) -> np.ndarray:
        """(b,) by each pick; nan where it was no candidate."""
        return self.gains[np.arange(len(self.picks)), self.picks]

    def gap(self) -> np.ndarray:
        """(b,) best minus second best; nan with one candidate."""
        ordered = np.sort(-self.gains, axis=1)  # nan comes last
        return ordered[:, 1] - ordered[:, 0]

    def greedy(self, tie: float) -> bool:
        """Whether every pick was the best candidate up to `tie`, and the lowest where nobody gains anything."""
        if not len(self.picks):
            return True
        best = np.nanmax(self.gains, axis=1)  # (b,)
        lowest = (~np.isnan(self.gains)).argmax(1)  # (b,)
        right = (self.gained() >= best - tie) & ((best > 0) | (self.picks == lowest))
        return bool((right & (self.picks >= 0)).all())

    def forced(self, twin: np.ndarray, tie: float) -> int:
        """How many steps have the same coverage in any greedy order: up to the first tie between different rows."""
        for t, gain in enumerate(self.gains):
            if len(set(twin[gain >= np.nanmax(gain) - tie])) > 1:
                return t + 1
        return len(self.gains)


class Coverage:
    """Coverage mean_n w_n max_s k(x_n, x_s) of a pool of `similar` (N, N) points under `weights` (N,)."""

    def __init__(self, similar: np.ndarray, weights: np.ndarray, labelled: np.ndarray) -> None:
        self.similar, self.weights, self.labelled = similar, weights, labelled
        self.known: dict[tuple[int, ...], Steps] = {}

    def steps(self, picks: np.ndarray) -> Steps:
        """What these picks do."""
        key = tuple(picks.tolist())
        if key not in self.known:
            self.known[key] = self._steps(picks)
        return self.known[key]

    def _steps(self, picks: np.ndarray) -> Steps:
        covered = self.similar[:, self.labelled].max(1, initial=0)  # (N,)
        taken = np.isin(np.arange(len(covered)), self.labelled)  # (N,)
        start = float(np.mean(self.weights * covered))
        gains, objective = np.empty((len(picks), len(covered))), np.empty(len(picks))
        for t, pick in enumerate(picks):
            excess = np.maximum(self.similar - covered[:, None], 0)  # (N, N)
            gains[t] = np.where(taken, np.nan, self.weights @ excess / len(covered))
            covered, taken[pick] = np.maximum(covered, self.similar[:, pick]), True
            objective[t] = np.mean(self.weights * covered)
        return Steps(picks, gains, start, objective)
