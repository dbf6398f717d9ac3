"""The training of one cycle: from fresh adapters and a fresh head, for as many steps as are fixed before it starts."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import RunFailed
from ..types import Moments
from .backbone import Backbone
from .inputs import shuffled
from .recipe import Recipe

BETAS, EPS = (0.9, 0.999), 1e-8
OUT_OF_MEMORY = "out of memory: lower model.batch, or model.max_length, or set model.gradient_checkpointing=true"


class Snapshot(NamedTuple):
    """Trained parameters by name, after some step, with the mean learning rate on the way there."""

    rate: float
    parameters: Mapping[str, Tensor]
    moments: Moments | None  # None where nothing was trained


def fresh(backbone: Backbone, generator: torch.Generator) -> dict[str, Tensor]:
    """Parameters to begin with: a small random head, adapters that change nothing yet, the rest as it was loaded.

    Drawn on the CPU whatever the device: the same numbers everywhere. The head comes first, so that it is the same
    whatever is trained below it.
    """
    head = backbone.module.head
    drawn = {
        "head.weight": torch.randn(head.weight.shape, generator=generator) * 0.01,
        "head.bias": torch.zeros(head.bias.shape),
    }
    start = {}
    for name, value in backbone.pristine.items():
        if "lora_A" in name:  # as peft does it: uniform, variance 1 / (3 * inputs)
            bound = value[0].numel() ** -0.5
            start[name] = (torch.rand(value.shape, generator=generator) * 2 - 1) * bound
        else:
            start[name] = torch.zeros_like(value) if "lora_B" in name else value
    return {name: value.to(head.weight.device, copy=True) for name, value in (start | drawn).items()}


def trained(
    module: nn.Module,
    recipe: Recipe,
    start: Mapping[str, Tensor],
    lengths: np.ndarray,
    loss: Callable[[np.ndarray], Tensor],
    generator: torch.Generator,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Snapshot]:
    """Snapshots along the way, the last one at its end; `loss` is the mean of some of the labelled items, 0..l-1.

    AdamW with decoupled weight decay on matrices, a linear warm-up and a linear descent to zero, no early stop.
    Dropout of the libraries draws from torch's global generator: it is seeded here, and put back afterwards.
    """
    steps = recipe.steps(len(lengths))
    named = {name: p for name, p in module.named_parameters() if name in start}
    _fill(named, start)
    groups = [
        {"params": [p for n, p in named.items() if wanted(n, p)], "lr": rate, "weight_decay": decay, "rate": rate}
        for rate, decay, wanted in (
            (recipe.learning_rate, recipe.weight_decay, lambda n, p: not n.startswith("head.") and p.ndim > 1),
            (recipe.learning_rate, 0.0, lambda n, p: not n.startswith("head.") and p.ndim <= 1),
            (recipe.head_learning_rate, recipe.weight_decay, lambda n, p: n == "head.weight"),
            (recipe.head_learning_rate, 0.0, lambda n, p: n == "head.bias"),
        )
    ]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], betas=BETAS, eps=EPS)
    ends = [round(steps * (k + 1) / recipe.checkpoints) for k in range(recipe.checkpoints)]
    found: list[Snapshot] = []
    batches: list[np.ndarray] = []
    rates: list[float] = []
    device = next(module.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _training(module):
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        for step in range(steps):
            batches = batches or shuffled(lengths, recipe.batch, generator)
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * recipe.rate(step, steps)
            rates.append(recipe.learning_rate * recipe.rate(step, steps))
            optimizer.zero_grad()
            loss(batches.pop()).backward()
            nn.utils.clip_grad_norm_(named.values(), recipe.clip)
            optimizer.step()
            report("training", step + 1, steps)
            if step + 1 in ends:
                found.append(Snapshot(float(np.mean(rates)), copied(named), _moments(optimizer, named)))
                rates = []
    optimizer.zero_grad()
    return found


def mean_of_last_quarter(losses: Sequence[float]) -> float:
    """What training had come to, without another pass over what was trained on."""
    last = losses[-max(1, len(losses) // 4) :]
    return sum(last) / len(last)


def copied(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values, which later training leaves alone."""
    return {name: value.detach().clone() for name, value in named.items()}


@torch.no_grad()
def _fill(named: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, parameter in named.items():
        parameter.copy_(values[name])


def _moments(optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter]) -> Moments:
    state: dict[str, dict[str, Any]] = {name: optimizer.state[p] for name, p in named.items()}
    first = copied({name: values["exp_avg"] for name, values in state.items()})
    second = copied({name: values["exp_avg_sq"] for name, values in state.items()})
    return Moments(first, second, int(next(iter(state.values()))["step"]), BETAS, EPS)


@contextmanager
def _training(module: nn.Module):
    """Training mode, but for batch normalisation: its statistics stay those of the pretraining, batches are small."""
    module.train()
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
    try:
        yield
    finally:
        module.eval()


@contextmanager
def fitting():
    """Memory that runs out leaves as one message that says what to lower."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise RunFailed(OUT_OF_MEMORY) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        raise RunFailed(OUT_OF_MEMORY) from error
