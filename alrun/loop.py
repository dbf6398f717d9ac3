"""The experiment: train, evaluate, select, ask the oracle. A generator of cycles without any I/O."""

import math
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from . import registry
from .config import Initial, Run
from .data.split import Dataset
from .errors import UserError
from .metrics import evaluate, mean_entropy, nll
from .models.material import Material
from .needs import Need, refusal
from .signals import ModelSignals
from .streams import Stream, stream
from .types import Cycle, LanguageModel, Learner, Part, Predictor, Savable, Selection, Strategy, View


def initial_set(run: Run, dataset: Dataset, size: int) -> Tensor:
    """Pool indices of the labels that are there before the first cycle: the same for every strategy of a seed."""
    rng = stream(run.seed, Stream.INITIAL)
    pool = len(dataset.pool)
    if run.budget.initial is not Initial.one_per_class:
        return torch.from_numpy(rng.choice(pool, size=min(size, pool), replace=False))
    truth = dataset.source.labels[dataset.pool]  # (N,)
    absent = [name for c, name in enumerate(dataset.source.classes) if not (truth == c).any()]
    if absent:
        raise UserError(f"the pool has no item of {', '.join(absent)}", "budget.initial=random, or a larger pool")
    return torch.tensor([int(rng.choice(np.flatnonzero(truth == c))) for c in range(len(dataset.source.classes))])


def cycles(
    run: Run, dataset: Dataset, material: Material, batches: Sequence[int], start: Tensor, done: Sequence[Tensor] = ()
) -> Iterator[Cycle]:
    """One Cycle per training, continuing after `done`, the pool indices that earlier cycles bought.

    Cycle k trains afresh on everything bought before it, is evaluated on the test split and buys `batches[k]` labels;
    one more cycle only trains and evaluates. Every draw comes from (seed, cycle, purpose), so
    `whole[:k] + list(cycles(..., done=whole[:k]))` equals `whole`.
    """
    learner: Learner = registry.build("model", run.model, run.plugins)(material)
    strategy: Strategy = registry.build("strategy", run.strategy, run.plugins)
    device = material.device
    oracle = torch.from_numpy(dataset.answers).to(device)  # (N,) only asked for what is bought
    revealed = oracle if registry.diagnostic(run.strategy, run.plugins) else None
    target_labels = torch.from_numpy(dataset.source.labels[dataset.target]).to(device)  # (v,)
    labelled = torch.cat([start, *done]).long().to(device)  # (l,)
    sizes = list(accumulate([len(start), *(len(batch) for batch in done)]))  # labels that each cycle's model saw
    memo: dict = {}
    before: Predictor | None = None
    for cycle in range(len(done), len(batches) + 1):
        labels = oracle[labelled]  # (l,)
        began = time.perf_counter()
        predictor = learner(labelled, labels, stream(run.seed, Stream.MODEL, cycle))
        signals = ModelSignals(
            material,
            learner,
            predictor,
            labelled=labelled,
            labels=labels,
            target_labels=target_labels,
            sizes=sizes,
            seed=run.seed,
            before=before,
            oracle=revealed,
        )
        trained = time.perf_counter()
        metrics, predictions = _evaluated(predictor, signals, dataset, labelled, labels)
        evaluated = time.perf_counter()
        selection = None
        if cycle < len(batches):
            view = View(
                unlabelled=_others(labelled, len(oracle)),
                labelled=labelled,
                labels=labels,
                n_classes=material.n_classes,
                cycle=cycle,
                signals=signals,
                rng=stream(run.seed, Stream.STRATEGY, cycle),
                memo=memo,
            )
            signals.asked.clear()
            selection = strategy(view, batches[cycle])
            if material.answered and signals.asked == {"probs"}:
                raise refusal(Need.answers, f"strategy {run.strategy['name']!r}")
            _demand_batch(selection, batches[cycle], view, run.strategy["name"])
        selected = time.perf_counter()
        chosen = selection.indices if selection else labelled[:0]
        notes = selection.notes if selection else {}
        yield Cycle(
            index=cycle,
            metrics={"cycle": cycle, "n_labelled": len(labelled), "n_acquired": len(chosen)}
            | metrics
            | {f"model/{name}": _finite(value) for name, value in predictor.notes.items()}
            | {f"strategy/{name}": _finite(value) for name, value in notes.items()},
            costs={
                "cycle": cycle,
                "train_s": round(trained - began, 6),
                "eval_s": round(evaluated - trained, 6),
                "select_s": round(selected - evaluated, 6),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            },
            selection=selection,
            bought=oracle[chosen],
            predictions=predictions,
            files=_files(predictor, run) if run.save_models else {},
        )
        labelled = torch.cat([labelled, chosen])
        sizes.append(len(labelled))
        before = predictor


def _files(predictor: Predictor, run: Run) -> Mapping[str, bytes]:
    """What the model can be loaded from."""
    if not isinstance(predictor, Savable):
        raise refusal(Need.saving, f"model {run.model['name']!r}")
    return predictor.files()


def _evaluated(
    predictor: Predictor, signals: ModelSignals, dataset: Dataset, labelled: Tensor, labels: Tensor
) -> tuple[dict[str, float | int | None], dict[str, np.ndarray]]:
    """Metrics on the test split and the target split, and the test predictions behind them."""
    source, n_classes = dataset.source, len(dataset.source.classes)
    logits = predictor.outputs("test", torch.arange(len(dataset.test))).logits.double().cpu()  # (t, C)
    confidence, prediction = logits.softmax(dim=1).max(dim=1)  # (t,)
    every = torch.arange(len(dataset.pool))
    values = None if source.values is None else source.values[dataset.test]  # (t,)
    metrics: dict[str, float | int | None] = dict(
        evaluate(logits.numpy(), source.labels[dataset.test], n_classes, source.levels, values)
    )
    aimed = predictor.outputs("target", torch.arange(len(dataset.target))).logits.double().cpu()  # (v, C)
    metrics["target/nll"] = nll(aimed.numpy(), source.labels[dataset.target]) if n_classes > 1 else None
    if isinstance(predictor, LanguageModel):
        metrics |= _token_metrics(predictor, dataset)
    counts = torch.bincount(labels, minlength=n_classes).tolist()  # (C,)
    metrics |= {f"bought/{c}": count for c, count in enumerate(counts)}
    metrics |= {
        "pool/entropy_mean": _finite(mean_entropy(signals.logits(every).double().cpu().numpy())),
        "train/loss": _finite(predictor.loss) if len(labelled) else None,
    }
    return metrics, {
        "test_prediction": prediction.numpy().astype(np.int32),
        "test_confidence": confidence.numpy().astype(np.float32),
        "pool_prediction": signals.logits(every).argmax(dim=1).cpu().numpy().astype(np.int32),
    }


def _token_metrics(predictor: LanguageModel, dataset: Dataset) -> dict[str, float | None]:
    """Means over items of their mean token losses in nats and of their shares of tokens predicted right."""
    found = {}
    parts: dict[Part, np.ndarray] = {"target": dataset.target, "test": dataset.test}
    for part, rows in parts.items():
        labels = torch.from_numpy(dataset.source.labels[rows])
        said = predictor.completions(part, torch.arange(len(rows)), labels)
        found[f"{part}/token_nll"] = _finite(said.nll.double().mean().item())
        found[f"{part}/token_accuracy"] = _finite(said.right.double().mean().item())
    return found


def _others(labelled: Tensor, pool: int) -> Tensor:
    """Pool indices that are not labelled, ascending."""
    free = torch.ones(pool, dtype=torch.bool, device=labelled.device)
    free[labelled] = False
    return free.nonzero().squeeze(1)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _demand_batch(selection: Selection, size: int, view: View, name: str) -> None:
    """A strategy that breaks its promise stops the run rather than spoiling it."""
    chosen = selection.indices
    sound = (
        chosen.dtype == torch.int64
        and len(chosen) == len(selection.scores) == size
        and len(chosen.unique()) == size
        and bool(torch.isin(chosen, view.unlabelled).all())
    )
    if not sound:
        raise RuntimeError(
            f"strategy {name!r} must return {size} distinct unlabelled pool indices (int64) with as many scores; "
            f"it returned {len(chosen)} ({len(chosen.unique())} distinct) with {len(selection.scores)} scores"
        )
