"""What a trained model is worth on the test and the target split."""

import math

import numpy as np
import torch
from torch import Tensor

from .data.split import Dataset
from .metrics import evaluate, mean_entropy, nll
from .types import LanguageModel, Part, Predictor


class NotFinite(ArithmeticError):
    """What a model says is infinite or no number."""


def evaluated(
    predictor: Predictor, pool: Tensor, dataset: Dataset, labels: Tensor
) -> tuple[dict[str, float | int | None], dict[str, np.ndarray]]:
    """Metrics on the test split and the target split, and the test predictions behind them.

    `pool` (N, C) are the model's logits of the pool, `labels` (l,) what it was trained on. Raises NotFinite.
    """
    _demand_finite(pool)
    source, n_classes = dataset.source, len(dataset.source.classes)
    logits = _logits(predictor, "test", len(dataset.test))  # (t, C)
    confidence, prediction = logits.softmax(dim=1).max(dim=1)  # (t,)
    values = None if source.values is None else source.values[dataset.test]  # (t,)
    metrics: dict[str, float | int | None] = dict(
        evaluate(logits.numpy(), source.labels[dataset.test], n_classes, source.levels, values)
    )
    aimed = _logits(predictor, "target", len(dataset.target))  # (v, C)
    metrics["target/nll"] = nll(aimed.numpy(), source.labels[dataset.target]) if n_classes > 1 else None
    if isinstance(predictor, LanguageModel):
        metrics |= _token_metrics(predictor, dataset)
    counts = torch.bincount(labels, minlength=n_classes).tolist()  # (C,)
    metrics |= {f"bought/{c}": count for c, count in enumerate(counts)}
    metrics |= {
        "pool/entropy_mean": finite(mean_entropy(pool.double().cpu().numpy())),
        "train/loss": finite(predictor.loss) if len(labels) else None,
    }
    return metrics, {
        "test_prediction": prediction.numpy().astype(np.int32),
        "test_confidence": confidence.numpy().astype(np.float32),
        "pool_prediction": pool.argmax(dim=1).cpu().numpy().astype(np.int32),
    }


def _token_metrics(predictor: LanguageModel, dataset: Dataset) -> dict[str, float | None]:
    """Means over items of their mean token losses in nats and of their shares of tokens predicted right."""
    found = {}
    parts: dict[Part, np.ndarray] = {"target": dataset.target, "test": dataset.test}
    for part, rows in parts.items():
        labels = torch.from_numpy(dataset.source.labels[rows])
        said = predictor.completions(part, torch.arange(len(rows)), labels)
        _demand_finite(said.nll)
        found[f"{part}/token_nll"] = finite(said.nll.double().mean().item())
        found[f"{part}/token_accuracy"] = finite(said.right.double().mean().item())
    return found


def _logits(predictor: Predictor, part: Part, n: int) -> Tensor:
    """(n, C) float64 of a whole part, on the host."""
    logits = predictor.outputs(part, torch.arange(n)).logits.double().cpu()
    _demand_finite(logits)
    return logits


def _demand_finite(values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise NotFinite


def finite(value: float | None) -> float | None:
    """What JSON can say of a number."""
    return float(value) if value is not None and math.isfinite(value) else None
