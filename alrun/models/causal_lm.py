"""A causal language model with LoRA adapters, fine-tuned afresh on the completions of each cycle."""

import logging
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..converted import converts, language_files, language_model
from ..errors import UserError
from ..needs import Need
from ..pretrained import Dtype, digest, load, public_name
from ..processes import crew
from ..registry import model
from ..sound import demand_numbers
from ..types import Learner, Predictor
from .adapters import Lora, adapted
from .backbone import recompute
from .footprint import language_memory
from .hearing import offer
from .limits import at_least
from .material import Material
from .recipe import Precision, Recipe, in_half
from .speaker import Speaker, again
from .speech import Reader, Template
from .training import Snapshot, fitting, mean_of_last_quarter, trained
from .voice import Scoring, Voice, training_loss

log = logging.getLogger("alrun")


class Base(NamedTuple):
    """What the network is made of; equal bases share one network in memory."""

    folder: Path
    name: str  # on the hub, or the folder
    revision: str | None
    files: tuple[tuple[str, str], ...]  # sha256 of what is loaded
    lora: Lora
    dtype: Dtype
    device: str
    gradient_checkpointing: bool


class Opened(NamedTuple):
    """A network with its adapters in place, and its tokenizer."""

    module: nn.Module
    tokenizer: Any
    shapes: Mapping[str, torch.Size]  # of the adapters by name, in the module's order
    adapters: Any  # the peft config that put them in


@lru_cache(maxsize=1)
def opened(base: Base) -> Opened:
    """The network of `base`, loaded once per process; only adapters can be trained.

    Attention is written out in plain products: forward derivatives need that.
    """
    with torch.random.fork_rng(devices=[]):  # peft draws adapters: they are drawn anew in every cycle
        tokenizer, network = load(
            base.folder, "AutoTokenizer", base.dtype, base.device, "eager", "AutoModelForCausalLM"
        )
        with torch.no_grad():
            said = network(input_ids=torch.zeros(1, 1, dtype=torch.int64, device=base.device), use_cache=False)
        demand_numbers(str(base.folder), network, said.logits)
        network.requires_grad_(False)
        adapters = adapted(network, base.lora, base.name, base.revision, "CAUSAL_LM")
    named = {name: p for name, p in network.named_parameters() if "lora_" in name}
    for parameter in named.values():
        parameter.data = parameter.data.float()  # a step is too small for half precision
        parameter.requires_grad_(True)
    if base.gradient_checkpointing:
        recompute(network)
    return Opened(network.eval(), tokenizer, {name: p.shape for name, p in named.items()}, adapters)


def fresh(shapes: Mapping[str, torch.Size], device: torch.device, generator: torch.Generator) -> dict[str, Tensor]:
    """Adapters that change nothing yet (Hu et al. 2022): A uniform as peft draws it, B zero.

    Drawn on the CPU whatever the device: the same numbers everywhere.
    """
    found = {}
    for name, shape in shapes.items():
        bound = 0.0 if "lora_B" in name else shape[1] ** -0.5
        found[name] = ((torch.rand(shape, generator=generator) * 2 - 1) * bound).to(device)
    return found


def files_of(kind: str, options: Mapping[str, Any]) -> dict[str, str]:
    """File name -> sha256 of what the model starts from."""
    return language_files(options["path"], options["revision"])


OFFERS = (
    Need.completions,
    Need.gradients_last_block,
    Need.gradients_lora,
    Need.gradients_all,
    Need.adam,
    Need.checkpoints,
    Need.saving,
)


@model(memory=language_memory, files=files_of, offers=OFFERS)
def causal_lm(
    material: Material,
    *,
    path: str,
    revision: str | None,
    template: Template,
    max_length: int,
    scoring: Scoring,
    rank: int,
    alpha: float,
    dropout: float,
    targets: list[str],
    learning_rate: float,
    weight_decay: float,
    warmup: float,
    epochs: int,
    min_steps: int,
    max_steps: int,
    batch: int,
    clip: float,
    precision: Precision,
    checkpoints: int,
    gradient_checkpointing: bool,
) -> Learner:
    """Trained on completions alone: the loss of an item is the mean over its completion's tokens and the end token.

    A batch's loss is the mean over its items, not over its tokens as in LESS's released code (Xia et al. 2024): what
    is trained is what per-item gradients are taken of, and long completions do not count more. Evaluation completions
    end with the end token too, which LESS leaves out there. With no items the model is the base.
    """
    if material.kind != "instruction":
        raise UserError(
            f"model=causal_lm reads prompts and completions, and this dataset has {material.kind} items",
            "dataset=instruct puts your rows as prompts",
            "model=transformer",
        )
    at_least(2, max_length=max_length)
    lora = Lora(rank, alpha, dropout, tuple(targets))
    recipe = Recipe(
        learning_rate=learning_rate,
        head_learning_rate=learning_rate,
        weight_decay=weight_decay,
        warmup=warmup,
        epochs=epochs,
        min_steps=min_steps,
        max_steps=max_steps,
        batch=batch,
        clip=clip,
        checkpoints=checkpoints,
    )
    material.begin()
    device = material.device
    half = in_half(precision, device)
    folder = language_model(path, revision)
    with fitting():
        network = opened(
            Base(
                folder=folder,
                name=str(folder) if converts(path) else public_name(path),
                revision=revision,
                files=tuple(digest(folder).items()),
                lora=lora,
                dtype=Dtype.bfloat16 if half else Dtype.float32,
                device=str(device),
                gradient_checkpointing=gradient_checkpointing,
            )
        )
    _demand_room(network.module, max_length)
    reader = Reader(network.tokenizer, template, max_length)
    log.info("prompts are put %s", "by the tokenizer's chat template" if reader.chat else "plainly: text and new line")
    voice = Voice(
        module=network.module,
        files=list(digest(folder).values()),
        adapters=network.adapters,
        reader=reader,
        items=material.items,
        n_classes=material.n_classes,
        scoring=scoring,
        batch=batch,
        device=device,
        report=material.report,
    )
    offer(voice)
    crew().offer("network", partial(again, voice))

    def learn(idx: Tensor, labels: Tensor, rng: np.random.Generator) -> Predictor:
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        start = fresh(network.shapes, device, generator)
        if not len(idx):
            return Speaker(voice, [Snapshot(learning_rate, start, None)], float("nan"))
        rows = [voice.row("pool", int(i), int(y)) for i, y in zip(idx, labels, strict=True)]
        seen: list[float] = []

        def mean_loss(at: np.ndarray) -> Tensor:
            loss = training_loss(voice, [rows[place] for place in at])
            seen.append(float(loss.detach()))
            return loss

        with fitting():
            lengths = np.array([len(row.tokens) for row in rows])
            snapshots = trained(network.module, recipe, start, lengths, mean_loss, generator, material.report)
        return Speaker(voice, snapshots, mean_of_last_quarter(seen))

    return learn


def _demand_room(module: nn.Module, max_length: int) -> None:
    """No text longer than the network's positions, or than a window that a written-out mask would not keep."""
    for name in ("max_position_embeddings", "sliding_window"):
        limit = getattr(module.config, name, None)
        if isinstance(limit, int) and max_length > limit:
            raise UserError(
                f"model.max_length={max_length} is more than the {limit} tokens this network can look back on",
                f"model.max_length={limit} or less",
            )
