"""A pretrained text or image network, fine-tuned afresh on the labels of each cycle."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..needs import LAST_LAYER, Need
from ..pretrained import Pooling
from ..processes import crew
from ..registry import model
from ..types import Learner, Predictor
from .adapters import Lora
from .backbone import Base, Train, files_of, opened
from .footprint import memory
from .inputs import Inputs, Pictures, Texts
from .limits import above_zero, at_least, finite
from .material import Material
from .objective import Loss, objective
from .recipe import Precision, Recipe, in_half
from .setting import Setting
from .training import Snapshot, fitting, fresh, trained
from .tuned import Tuned, again

TRAINED = {  # gradients beside those of the head
    Train.head: [Need.gradients_all],
    Train.lora: [Need.gradients_last_block, Need.gradients_lora, Need.gradients_all],
    Train.full: [Need.gradients_last_block, Need.gradients_all],
}


def offers(options: Mapping[str, Any]) -> list[Need]:
    """What strategies may need of it."""
    return [*LAST_LAYER, *TRAINED[options["train"]], Need.adam, Need.checkpoints, Need.saving]


@model(memory=memory, files=files_of, offers=offers)
def transformer(
    material: Material,
    *,
    path: str,
    revision: str | None,
    train: Train,
    rank: int,
    alpha: float,
    dropout: float,
    targets: list[str],
    pooling: Pooling,
    scale: float,
    max_length: int,
    learning_rate: float,
    head_learning_rate: float,
    weight_decay: float,
    warmup: float,
    epochs: int,
    min_steps: int,
    max_steps: int,
    batch: int,
    clip: float,
    precision: Precision,
    loss: Loss,
    checkpoints: int,
    gradient_checkpointing: bool,
) -> Learner:
    """logits = head(scale * unit(pooled vectors)); trained are the head, LoRA adapters with it, or everything.

    The base is loaded once per process. Every cycle starts from its pretrained weights, fresh adapters (Hu et al.
    2022; their first output is zero) and a fresh small head, all drawn from the cycle's generator: with no labels that
    is the model. Squared error trains one number on the standardised levels of ordinal classes; the logits are then
    those of a Gaussian around it, so that every strategy can ask for probabilities.
    """
    if material.kind == "table":
        raise UserError(
            "model=transformer reads texts and images, and this dataset has columns", "model=linear or model=mlp"
        )
    if material.kind == "instruction":
        raise UserError(
            "model=transformer reads texts and images, and this dataset has prompts with completions", "model=causal_lm"
        )
    at_least(1, max_length=max_length)
    above_zero(scale=scale)
    finite(scale=scale)
    lora = Lora(rank, alpha, dropout, tuple(targets))
    recipe = Recipe(
        learning_rate=learning_rate,
        head_learning_rate=head_learning_rate,
        weight_decay=weight_decay,
        warmup=warmup,
        epochs=epochs,
        min_steps=min_steps,
        max_steps=max_steps,
        batch=batch,
        clip=clip,
        checkpoints=checkpoints,
    )
    device = material.device
    goal = objective(loss, material.levels, device)
    material.begin()
    base = Base(
        path=path,
        revision=revision,
        kind=material.kind,
        train=train,
        lora=lora,
        pooling=pooling,
        scale=scale,
        outputs=1 if loss is Loss.squared else material.n_classes,
        device=str(device),
        gradient_checkpointing=gradient_checkpointing,
        files=tuple(files_of(material.kind, {"path": path, "revision": revision}).items()),
    )
    with fitting():
        backbone = opened(base)
    inputs: Inputs = (
        Pictures(backbone, material.items, device)
        if material.kind == "image"
        else Texts(backbone, material.items, max_length, device)
    )
    half = in_half(precision, device)
    setting = Setting(
        backbone=backbone,
        inputs=inputs,
        objective=goal,
        batch=4 * batch,
        half=half,
        frozen=train is Train.head,
        name=path,
        report=material.report,
    )
    crew().offer("network", partial(again, setting))

    def learn(idx: Tensor, labels: Tensor, rng: np.random.Generator) -> Predictor:
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        start = fresh(backbone, generator)
        labels = labels.to(device)
        rows = idx.cpu().numpy()
        if not len(rows):
            return Tuned(setting, [Snapshot(learning_rate, start, None)], idx, labels)
        frozen = setting.embeddings(start, "pool", idx) if setting.frozen else None  # (l, D)
        lengths = inputs.lengths("pool")[rows]

        def mean_loss(at: np.ndarray) -> Tensor:
            chosen = torch.from_numpy(at).to(device)
            if frozen is not None:
                raw = backbone.module.head(frozen[chosen])
            else:
                raw = backbone.module(inputs.batch("pool", rows[at]), half)[0]
            return goal.losses(raw, labels[chosen]).mean()

        with fitting():
            snapshots = trained(backbone.module, recipe, start, lengths, mean_loss, generator, material.report)
        return Tuned(setting, snapshots, idx, labels)

    return learn
