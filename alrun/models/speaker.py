"""A causal language model with the adapters of one cycle: what it says, how well, and its gradients."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import UserError
from ..numerics.completion import completion_loss, dense_completion_loss
from ..types import Batch, Completions, Moments, Outputs, Part, Scope
from .blocks import last_block
from .inputs import by_length
from .material import NEVER
from .speech import Reader, Row, collated, gathered, labels, tail
from .training import Snapshot

Scoring = StrEnum("Scoring", ["sum", "mean"])


@dataclass(frozen=True)
class Voice:
    """What the trained models of a run share: the network, its reader and the items."""

    module: nn.Module
    reader: Reader
    items: Mapping[Part, Sequence[Any]]
    n_classes: int
    scoring: Scoring
    batch: int  # items at a time when nothing is trained
    device: torch.device
    guard: Callable  # context in which memory may run out
    rows: dict  # (part, item, label or None for all options) -> Row

    def row(self, part: Part, item: int, label: int | None) -> Row:
        """An item with one completion, or with all its options; tokenised once."""
        exchange = self.items[part][item]
        known = len(exchange.options) == 1
        key = part, item, 0 if known else label
        if key not in self.rows:
            chosen = exchange.options if label is None else (exchange.completion(label),)
            self.rows[key] = self.reader.row(exchange, chosen)
        return self.rows[key]

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return self.module.get_input_embeddings().weight.dtype  # type: ignore[operator]

    def forward(self, parameters: Mapping[str, Tensor] | None, inputs: Mapping[str, Tensor], keep: int) -> Tensor:
        """(b, K, V) logits at the last `keep` places, under these parameters or the module's own."""
        given = dict(inputs) | {"logits_to_keep": keep, "use_cache": False}
        if parameters is None:
            return self.module(**given).logits
        return functional_call(self.module, dict(parameters), (), given).logits

    def batches(self, rows: Sequence[Row], size: int) -> Iterator[tuple[np.ndarray, list[Row], dict[str, Tensor]]]:
        """Positions, rows and inputs of about one length, the longest first."""
        for at in by_length(np.array([len(row.tokens) for row in rows]), size):
            some = [rows[place] for place in at]
            yield at, some, collated(some, self.dtype, self.device)


@dataclass(frozen=True)
class Speaker:
    """A trained language model."""

    voice: Voice
    snapshots: Sequence[Snapshot]  # the last one is the model
    loss: float  # mean of the items' mean token losses over the last quarter of the training, in nats

    @property
    def notes(self) -> Mapping[str, float]:
        """Updates made."""
        moments = self.snapshots[-1].moments
        return {"steps": float(moments.step if moments else 0)}

    @torch.inference_mode()
    def outputs(self, part: Part, idx: Tensor) -> Outputs:
        """Log-likelihoods of the options as logits, NEVER where an item has no such option; one option is certain.

        Embeddings are what the last layer reads at the end of the prompt.
        """
        voice = self.voice
        rows = [voice.row(part, int(item), None) for item in idx]
        logits = torch.full((len(rows), voice.n_classes), NEVER, device=voice.device)
        embeddings: Tensor | None = None
        with voice.guard(), listening(voice.module) as heard:
            for at, some, inputs in voice.batches(rows, voice.batch):
                found, keep = gathered(some, voice.device), tail(some)
                place = torch.from_numpy(at).to(voice.device)
                said = voice.forward(self.snapshots[-1].parameters, inputs, keep)  # (b, K, V)
                told = _log_prob(said[found["row"], keep + found["at"]], found["token"])  # (m,)
                flat = found["row"] * voice.n_classes + found["option"]
                total = told.new_zeros(len(some) * voice.n_classes).index_add(0, flat, told)
                count = flat.bincount(minlength=len(total)).view(len(some), -1)  # (b, C)
                total = total.view(len(some), -1)
                score = total / count.clamp_min(1) if voice.scoring is Scoring.mean else total
                logits[place] = torch.where(count > 0, score, NEVER)
                ends = torch.tensor([keep + min(row.at) for row in some], device=voice.device)
                states = heard[-1][torch.arange(len(some), device=voice.device), ends].float()  # (b, D)
                if embeddings is None:
                    embeddings = states.new_empty(len(rows), states.shape[1])
                embeddings[place] = states
        if embeddings is None:
            embeddings = logits.new_zeros(0, voice.module.get_output_embeddings().weight.shape[1])  # type: ignore[operator]
        single = torch.tensor([len(voice.items[part][int(item)].options) == 1 for item in idx], dtype=torch.bool)
        logits[single.to(voice.device), 0] = 0.0
        return Outputs(logits, embeddings)

    @torch.inference_mode()
    def completions(self, part: Part, idx: Tensor, labels: Tensor) -> Completions:
        """How well the completions under these labels are predicted, token by token."""
        voice = self.voice
        rows = [voice.row(part, int(i), int(y)) for i, y in zip(idx, labels, strict=True)]
        nll, entropy, right = (torch.zeros(len(rows), device=voice.device) for _ in range(3))  # (n,) each
        with voice.guard():
            for at, some, inputs in voice.batches(rows, voice.batch):
                found, keep = gathered(some, voice.device), tail(some)
                said = voice.forward(self.snapshots[-1].parameters, inputs, keep)
                logs = said[found["row"], keep + found["at"]].float().log_softmax(1)  # (m, V)
                count = found["row"].bincount(minlength=len(some))
                place = torch.from_numpy(at).to(voice.device)
                for goal, each in (
                    (nll, -logs.gather(1, found["token"][:, None])[:, 0]),
                    (entropy, -(logs.exp() * logs).sum(1)),
                    (right, (logs.argmax(1) == found["token"]).float()),
                ):
                    goal[place] = each.new_zeros(len(some)).index_add(0, found["row"], each) / count
        tokens = torch.tensor([len(row.token) for row in rows], device=voice.device)
        return Completions(nll, entropy, right, tokens)

    def head(self) -> None:
        """The log-likelihood of an option is no linear function of the embedding."""
        return None

    def network(self) -> "Speaking":
        """Its gradients."""
        return Speaking(self.voice, self.snapshots)


@dataclass(frozen=True)
class Speaking:
    """A language model as its gradients see it (types.Network): the loss of an item is the mean over its tokens."""

    voice: Voice
    snapshots: Sequence[Snapshot]

    @property
    def module(self) -> nn.Module:
        """The network that all cycles share: only names and hooks are meaningful, its own values are anyone's."""
        return self.voice.module

    @cached_property
    def _names(self) -> list[str]:
        return [name for name, _ in self.module.named_parameters() if name in self.snapshots[-1].parameters]

    def parameters(self, scope: Scope) -> dict[str, Tensor]:
        """Adapters by name, in the module's order: all, or those of the last block."""
        if scope is Scope.head:
            raise UserError("gradients are asked for of 'head', and model=causal_lm trains its adapters alone", "lora")
        names = last_block(self._names) if scope is Scope.last_block else self._names
        return {name: self.snapshots[-1].parameters[name] for name in names}

    def losses(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """(b,) mean token loss of each completion in nats under these parameters, others as they were trained."""
        whole = {**self.snapshots[-1].parameters, **parameters}
        logits = self.voice.forward(whole, batch.inputs, batch.labels.shape[1])
        return dense_completion_loss(logits, batch.labels)

    def batches(self, part: Part, idx: Tensor, labels: Tensor) -> Iterator[Batch]:
        """Batches of about one length; a completion that comes with its item is what it is under any label."""
        rows = [self.voice.row(part, int(i), int(y)) for i, y in zip(idx, labels, strict=True)]
        for at, some, inputs in self.voice.batches(rows, self.voice.batch):
            place = torch.from_numpy(at).to(self.voice.device)
            yield Batch(place, inputs, _labels(some, self.voice.device))

    def moments(self) -> Moments | None:
        """Adam's state at the end of this training."""
        return self.snapshots[-1].moments

    def checkpoints(self) -> "Sequence[tuple[float, Speaking]]":
        """The models on the way, each with the mean learning rate since the one before."""
        return [
            (snapshot.rate, Speaking(self.voice, self.snapshots[: at + 1]))
            for at, snapshot in enumerate(self.snapshots)
        ]


_labels = labels  # `labels` is also what a function's argument is called


def training_loss(voice: Voice, rows: Sequence[Row]) -> Tensor:
    """Mean over items of their mean token losses, under the module's own parameters."""
    said = voice.forward(None, collated(rows, voice.dtype, voice.device), max(len(row.token) for row in rows))
    wanted = labels(rows, voice.device)  # (b, K)
    ahead = torch.full_like(wanted[:, :1], -100)
    return completion_loss(said, torch.cat([ahead, wanted], dim=1)).batch_example_mean


def _log_prob(logits: Tensor, token: Tensor) -> Tensor:
    """(m,) log-probability of the tokens, from logits (m, V)."""
    return logits.float().log_softmax(1).gather(1, token[:, None])[:, 0]


@contextmanager
def listening(module: Any) -> Iterator[list[Tensor]]:
    """The last thing that the last layer was given, (b, K, D)."""
    heard: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...], __: Tensor) -> None:
        heard[:] = [given[0]]

    handle = module.get_output_embeddings().register_forward_hook(keep)
    try:
        yield heard
    finally:
        handle.remove()
