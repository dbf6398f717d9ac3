"""A causal language model with the adapters of one cycle: what it says, how well, and its gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..needs import Need, gradients, refusal
from ..numerics.completion import dense_completion_loss
from ..processes import crew
from ..types import Batch, Batches, Completions, Moments, Outputs, Part, Scope
from .blocks import last_block
from .hearing import ITEMS, Said, hearing
from .inputs import by_length
from .keeping import adapter_files
from .material import NEVER
from .setting import room
from .speech import collated
from .speech import labels as predicted
from .training import Snapshot
from .voice import Scoring, Voice


@dataclass(frozen=True)
class Speaker:
    """A trained language model."""

    voice: Voice
    snapshots: Sequence[Snapshot]  # the last one is the model
    loss: float  # mean of the items' mean token losses over the last quarter of the training, in nats
    heard: dict[tuple[Part, bytes], Said] = field(default_factory=dict)

    @property
    def notes(self) -> Mapping[str, float]:
        """Updates made."""
        moments = self.snapshots[-1].moments
        return {"steps": float(moments.step if moments else 0)}

    def outputs(self, part: Part, idx: Tensor) -> Outputs:
        """Log-likelihoods of the options as logits, NEVER where an item has no such option; one option is certain.

        Embeddings are what the last layer reads at the end of the prompt.
        """
        said = self.said(part, idx)
        score = -said.nll / said.tokens.clamp_min(1) if self.voice.scoring is Scoring.mean else -said.nll
        logits = torch.where(said.tokens > 0, score, NEVER)  # (n, C)
        logits[(said.tokens > 0).sum(1) == 1, 0] = 0.0
        return Outputs(logits, said.embeddings)

    def completions(self, part: Part, idx: Tensor, labels: Tensor) -> Completions:
        """How well the completions under these labels are predicted, token by token."""
        said = self.said(part, idx)
        single = (said.tokens > 0).sum(1) == 1
        column = torch.where(single, 0, labels.to(single.device))[:, None]  # (n, 1)
        tokens = said.tokens.gather(1, column)[:, 0]
        nll, entropy, right = (total.gather(1, column)[:, 0] / tokens for total in said[:3])
        return Completions(nll, entropy, right, tokens)

    @torch.inference_mode()
    def said(self, part: Part, idx: Tensor) -> Said:
        """All options of these items, in one pass that is not made twice."""
        voice, key = self.voice, (part, idx.cpu().numpy().tobytes())
        if key in self.heard:
            return self.heard[key]
        rows = [voice.row(part, int(item), None) for item in idx]
        shape, width = (len(rows), voice.n_classes), voice.module.get_output_embeddings().weight.shape[1]  # type: ignore[operator]
        nll, entropy, right, tokens = (torch.zeros(shape, device=voice.device) for _ in range(4))
        found = Said(nll, entropy, right, tokens.long(), room(len(rows), width, voice.device))
        parameters, done = self.snapshots[-1].parameters, 0
        given = {**parameters, ITEMS: idx}
        about = {"part": part, "files": voice.files}
        for at, some in crew().shared("said", about, given, hearing(voice, parameters, rows)):
            place = torch.from_numpy(at).to(voice.device)
            for total, each in zip(found, some, strict=True):
                total[place] = each.to(voice.device)
            done += len(at)
            voice.report("reading", done, len(rows))
        self.heard[key] = found
        return found

    def files(self) -> Mapping[str, bytes]:
        """Adapters in peft's format (types.Savable)."""
        return adapter_files(self.snapshots[-1].parameters, self.voice.adapters)

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
            raise refusal(gradients(scope), offered=[Need.gradients_lora])
        names = last_block(self._names) if scope is Scope.last_block else self._names
        return {name: self.snapshots[-1].parameters[name] for name in names}

    def losses(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """(b,) mean token loss of each completion in nats under these parameters, others as they were trained."""
        whole = {**self.snapshots[-1].parameters, **parameters}
        logits = self.voice.forward(whole, batch.inputs, batch.labels.shape[1])
        return dense_completion_loss(logits, batch.labels)

    def batches(self, part: Part, idx: Tensor, labels: Tensor) -> Batches:
        """Batches of about one length; a completion that comes with its item is what it is under any label."""
        voice, device = self.voice, self.voice.device
        rows = [voice.row(part, int(i), int(y)) for i, y in zip(idx, labels, strict=True)]

        def make(at: np.ndarray) -> Batch:
            some = [rows[place] for place in at]
            inputs = collated(some, voice.dtype, device)
            return Batch(torch.from_numpy(at).to(device), inputs, predicted(some, device))

        return Batches(by_length(np.array([len(row.tokens) for row in rows]), voice.batch), make)

    def moments(self) -> Moments | None:
        """Adam's state at the end of this training."""
        return self.snapshots[-1].moments

    def checkpoints(self) -> "Sequence[tuple[float, Speaking]]":
        """The models on the way, each with the mean learning rate since the one before."""
        return [
            (snapshot.rate, Speaking(self.voice, self.snapshots[: at + 1]))
            for at, snapshot in enumerate(self.snapshots)
        ]

    def report(self, done: int, of: int) -> None:
        """How far a pass over items has come."""
        self.voice.report("gradients", done, of)

    def told(self) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
        """Its base by its files, and the adapters."""
        return {"files": self.voice.files}, self.snapshots[-1].parameters


def again(voice: Voice, about: Mapping[str, Any], given: Mapping[str, Tensor]) -> Speaking:
    """The network that `told` spoke of, on this process's own copy of the base."""
    voice.demand(about["files"])
    return Speaking(voice, [Snapshot(0.0, {name: value.to(voice.device) for name, value in given.items()}, None)])
