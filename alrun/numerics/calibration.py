"""How far stated confidence is from accuracy, and the temperature that brings them together."""

import numpy as np

# The grid of the released UHerding code (Bae et al. 2025): it can only soften.
TEMPERATURES = np.arange(10, 200) / 10  # (190,)


def calibration_error(confidence: np.ndarray, correct: np.ndarray, n_bins: int) -> float:
    """Expected calibration error in [0, 1], lower is better: sum over bins of share x |accuracy - mean confidence|.

    `confidence` (n,) is the probability of the predicted class, `correct` (n,) whether it was right. Bins have equal
    width and are half-open on the left, (low, high] (Naeini et al. 2015).
    """
    edges = np.linspace(0, 1, n_bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)  # (n,)
    excess = np.bincount(place, weights=correct.astype(float) - confidence, minlength=n_bins)  # (n_bins,)
    return float(np.abs(excess).sum() / len(confidence))


def temperature_errors(logits: np.ndarray, labels: np.ndarray, n_bins: int) -> np.ndarray:
    """(190,) calibration error of softmax(logits / T) for every T in TEMPERATURES; logits (n, C), labels (n,)."""
    below = logits.astype(float) - logits.max(axis=1, keepdims=True)  # (n, C) the predicted class has 0
    correct = logits.argmax(axis=1) == labels  # (n,)
    confidences = (1 / np.exp(below / t).sum(axis=1) for t in TEMPERATURES)
    return np.array([calibration_error(confidence, correct, n_bins) for confidence in confidences])


def best_temperature(logits: np.ndarray, labels: np.ndarray, n_bins: int) -> float:
    """The first temperature with the smallest calibration error."""
    return float(TEMPERATURES[temperature_errors(logits, labels, n_bins).argmin()])
