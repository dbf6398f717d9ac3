"""The experiment: train, evaluate, select, ask the oracle. A generator of cycles without any I/O."""

import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import registry
from .config import Initial, Run
from .data.split import Dataset
from .errors import RunFailed, UserError
from .evaluation import NotFinite, evaluated, finite
from .models.material import Material
from .needs import Need, refusal
from .signals import ModelSignals
from .streams import Stream, stream
from .types import Cycle, Learner, Predictor, Savable, Selection, Strategy, View


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
        every = torch.arange(len(oracle))
        try:
            metrics, predictions = evaluated(predictor, signals.logits(every), dataset, labels)
        except NotFinite:
            untrained = learner(labelled[:0], labels[:0], stream(run.seed, Stream.MODEL, cycle))
            raise RunFailed(_not_finite(run.model, predictor, untrained, dataset, len(labels))) from None
        weighed = time.perf_counter()
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
            | {f"model/{name}": finite(value) for name, value in predictor.notes.items()}
            | {f"strategy/{name}": finite(value) for name, value in notes.items()},
            costs={
                "cycle": cycle,
                "train_s": round(trained - began, 6),
                "eval_s": round(weighed - trained, 6),
                "select_s": round(selected - weighed, 6),
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


def _not_finite(
    model: Mapping[str, Any], predictor: Predictor, untrained: Predictor, dataset: Dataset, labels: int
) -> str:
    """Whether outputs that are no numbers come from the training or were there before it, and the way out."""
    name = model["name"]
    try:
        pool = untrained.outputs("pool", torch.arange(len(dataset.pool))).logits
        evaluated(untrained, pool, dataset, torch.empty(0, dtype=torch.int64))
    except NotFinite:
        return (
            f"the outputs of model {name!r} are not finite before any training: its weights"
            + (f" in {model['path']!r}" if model.get("path") else "")
            + " are damaged, or its options leave the range of numbers; mend the weights, or take the shipped options"
        )
    steps = predictor.notes.get("steps", model.get("steps"))
    return (
        f"the training of model {name!r} diverged: its outputs are not finite after "
        + (f"{steps:.0f} steps on {labels} labels" if steps else f"training on {labels} labels")
        + ", and were before; "
        + (f"lower model.learning_rate={model['learning_rate']}" if "learning_rate" in model else "change its options")
    )


def _others(labelled: Tensor, pool: int) -> Tensor:
    """Pool indices that are not labelled, ascending."""
    free = torch.ones(pool, dtype=torch.bool, device=labelled.device)
    free[labelled] = False
    return free.nonzero().squeeze(1)


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
