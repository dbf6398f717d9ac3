"""How good predictions are: pure functions of arrays. Results are plain floats; None where a metric is undefined."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15


def log_softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """(n, C) log-probabilities in nats, finite for finite logits."""
    logits = np.asarray(logits, dtype=np.float64)  # (n, C)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def accuracy(predicted: ArrayLike, labels: ArrayLike) -> float | None:
    """Share of items predicted right."""
    return _mean(np.asarray(predicted) == np.asarray(labels))


def recalls(predicted: ArrayLike, labels: ArrayLike, n_classes: int) -> list[float | None]:
    """Share of each class's items predicted right; None for a class without items."""
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    return [_mean(predicted[labels == c] == c) for c in range(n_classes)]


def balanced_accuracy(predicted: ArrayLike, labels: ArrayLike, n_classes: int) -> float | None:
    """Mean recall of the classes that have items."""
    return _mean([recall for recall in recalls(predicted, labels, n_classes) if recall is not None])


def macro_f1(predicted: ArrayLike, labels: ArrayLike, n_classes: int) -> float | None:
    """Mean F1 of the classes that have items; a class that is never predicted has an F1 of 0."""
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    right = np.bincount(labels[predicted == labels], minlength=n_classes)  # (C,)
    real, said = np.bincount(labels, minlength=n_classes), np.bincount(predicted, minlength=n_classes)
    present = real > 0
    return _mean(2 * right[present] / (real + said)[present])


def nll(logits: ArrayLike, labels: ArrayLike) -> float | None:
    """Mean negative log-likelihood of the true classes in nats; lower is better."""
    labels = np.asarray(labels)
    return _mean(-log_softmax(logits)[np.arange(len(labels)), labels]) if len(labels) else None


def brier(probs: ArrayLike, labels: ArrayLike) -> float | None:
    """Mean squared distance of the probabilities to the one-hot truth, summed over classes: 0 (best) to 2."""
    probs, labels = np.asarray(probs, dtype=np.float64), np.asarray(labels)  # (n, C), (n,)
    return _mean(np.square(probs - np.eye(probs.shape[1])[labels]).sum(axis=1))


def ece(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float | None:
    """Expected calibration error: |share right - mean confidence| over equal-width bins (lo, hi], weighted by size.

    Guo et al., 2017, eq. 3. Lower is better.
    """
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if not len(confidence):
        return None
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)  # (n,)
    gaps = np.bincount(which, weights=correct - confidence, minlength=bins)  # (bins,)
    return float(np.abs(gaps).sum() / len(confidence))


def entropy(logits: ArrayLike) -> NDArray[np.float64]:
    """(n,) entropy of the predicted distribution in nats."""
    logs = log_softmax(logits)  # (n, C)
    return -(np.exp(logs) * logs).sum(axis=1)


def mean_entropy(logits: ArrayLike) -> float | None:
    """Mean predictive entropy in nats: 0 when certain everywhere, log(C) when nothing is known."""
    return _mean(entropy(logits)) if len(np.asarray(logits)) else None


def evaluate(logits: ArrayLike, labels: ArrayLike, n_classes: int) -> dict[str, float | None]:
    """Every test metric of one model. `test/recall/<class>` comes last, one key a class.

    The prediction is the first class with the largest logit.
    """
    logits, labels = np.asarray(logits, dtype=np.float64).reshape(-1, n_classes), np.asarray(labels, dtype=np.int64)
    predicted, probs = logits.argmax(axis=1), np.exp(log_softmax(logits)) if len(logits) else logits
    found = {
        "test/accuracy": accuracy(predicted, labels),
        "test/balanced_accuracy": balanced_accuracy(predicted, labels, n_classes),
        "test/macro_f1": macro_f1(predicted, labels, n_classes),
        "test/nll": nll(logits, labels),
        "test/brier": brier(probs, labels),
        "test/ece": ece(probs[np.arange(len(labels)), predicted], predicted == labels),
    }
    return found | {f"test/recall/{c}": recall for c, recall in enumerate(recalls(predicted, labels, n_classes))}


def area_under_curve(x: ArrayLike, y: ArrayLike) -> float | None:
    """Mean height of the curve through (x, y): trapezoids over unequal steps, divided by the width.

    Of one point: its height. None without points, or where one of them is undefined.
    """
    x = np.asarray(x, dtype=np.float64)
    y = np.array([np.nan if value is None else value for value in np.asarray(y, dtype=object)], dtype=np.float64)
    if not len(y) or not np.isfinite(y).all():
        return None
    if len(y) == 1:
        return float(y[0])
    steps = np.diff(x)
    if (steps <= 0).any():
        raise ValueError(f"the x of a curve must increase, got {x.tolist()}")
    return float((steps * (y[1:] + y[:-1]) / 2).sum() / steps.sum())


def _mean(values: ArrayLike) -> float | None:
    values = np.asarray(values, dtype=np.float64)
    return float(values.mean()) if len(values) and np.isfinite(values).all() else None
