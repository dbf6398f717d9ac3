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


def evaluate(
    logits: ArrayLike,
    labels: ArrayLike,
    n_classes: int,
    levels: ArrayLike | None = None,
    values: ArrayLike | None = None,
) -> dict[str, float | None]:
    """Every test metric of one model. `test/recall/<class>` comes last, one key a class.

    The prediction is the first class with the largest logit. With the `levels` of an ordinal task and the `values`
    that its labels were, four more metrics join. Of a single class all are None.
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
    if n_classes == 1:  # nothing can be wrong: no metric says anything
        return dict.fromkeys([*found, "test/recall/0"])
    if levels is not None and values is not None:
        found |= graded(probs, predicted, labels, levels, values)
    return found | {f"test/recall/{c}": recall for c, recall in enumerate(recalls(predicted, labels, n_classes))}


def graded(
    probs: ArrayLike, predicted: ArrayLike, labels: ArrayLike, levels: ArrayLike, values: ArrayLike
) -> dict[str, float | None]:
    """Metrics of a prediction on a scale: errors in its unit, agreement, and order.

    Each error is that of the prediction which makes it smallest in expectation: the median level for the mean absolute
    error, the expected level for the root of the mean squared error. Spearman's correlation is that of the expected
    level, kappa that of the most probable level.
    """
    probs, levels, values = (np.asarray(array, dtype=np.float64) for array in (probs, levels, values))
    probs = probs.reshape(-1, len(levels))  # (n, C)
    expected, middle = probs @ levels, levels[median(probs)]  # (n,) each
    squared = _mean(np.square(expected - values))
    return {
        "test/mae": _mean(np.abs(middle - values)),
        "test/rmse": None if squared is None else squared**0.5,
        "test/qwk": quadratic_kappa(predicted, labels, len(levels)),
        "test/spearman": spearman(expected, values),
    }


def median(probs: ArrayLike) -> NDArray[np.int64]:
    """(n,) the lowest class up to which half of the probability lies."""
    return (np.asarray(probs, dtype=np.float64).cumsum(axis=1) < 0.5 - 1e-12).sum(axis=1)


def quadratic_kappa(predicted: ArrayLike, labels: ArrayLike, n_classes: int) -> float | None:
    """Agreement of two ratings beyond chance, a disagreement weighing by its square in classes (Cohen 1968): at most 1.

    0 for a constant prediction; None where both are constant and equal, and agreement says nothing.
    """
    predicted, labels = np.asarray(predicted, dtype=np.int64), np.asarray(labels, dtype=np.int64)
    if not len(labels):
        return None
    said, real = (np.bincount(found, minlength=n_classes) / len(labels) for found in (predicted, labels))  # (C,)
    apart = np.square(np.subtract.outer(np.arange(n_classes), np.arange(n_classes)))  # (C, C)
    chance = float(said @ apart @ real)
    return 1 - float(np.square(predicted - labels).mean()) / chance if chance else None


def spearman(one: ArrayLike, other: ArrayLike) -> float | None:
    """Correlation of ranks, ties sharing their mean rank; None where one side is constant."""
    ranks = [_ranks(np.asarray(values, dtype=np.float64)) for values in (one, other)]
    if any(not len(rank) or np.ptp(rank) == 0 for rank in ranks):
        return None
    first, second = (rank - rank.mean() for rank in ranks)
    return float((first * second).sum() / np.sqrt(np.square(first).sum() * np.square(second).sum()))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) ranks from 0; values that differ by rounding alone are equal."""
    room = 1e-9 * np.abs(values).max(initial=0.0)
    order = np.argsort(values, kind="stable")
    group = np.concatenate([[0], np.cumsum(np.diff(values[order]) > room)]) if len(values) else np.zeros(0, np.int64)
    count = np.bincount(group)  # (groups,)
    found = np.empty(len(values))
    found[order] = (np.cumsum(count) - (count + 1) / 2)[group]
    return found


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
