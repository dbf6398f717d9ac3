"""A causal language model with the adapters of one cycle: what it says, how well, and its gradients."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..numerics.completion import dense_completion_loss
from ..types import Batch, Completions, Moments, Outputs, Part, Scope
from .blocks import last_block
from .keeping import adapter_files
from .material import NEVER
from .setting import room
from .speech import gathered, tail
from .speech import labels as predicted
from .training import Snapshot, fitting
from .voice import Scoring, Voice, listening

PIECE = 256  # predictions whose probabilities over all words are held at once


class Said(NamedTuple):
    """Sums over the tokens of each option, (n, C) each, and what the last layer reads at the end of the prompt."""

    nll: Tensor
    entropy: Tensor
    right: Tensor
    tokens: Tensor  # 0 where an item has no such option
    embeddings: Tensor  # (n, D)


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
        done = 0
        with fitting(), listening(voice.module) as heard:
            for at, some, inputs in voice.batches(rows, voice.batch):
                place, keep = torch.from_numpy(at).to(voice.device), tail(some)
                logits = voice.forward(self.snapshots[-1].parameters, inputs, keep)  # (b, K, V)
                ends = torch.tensor([keep + int(row.at.min()) for row in some], device=voice.device)
                found.embeddings[place] = heard[0][torch.arange(len(some), device=voice.device), ends].float()
                every = gathered(some, voice.device)
                for piece in torch.arange(len(every["row"]), device=voice.device).split(PIECE):
                    row, end, token, option = (every[name][piece] for name in ("row", "at", "token", "option"))
                    logs = logits[row, keep + end].float().log_softmax(1)  # (m, V)
                    sums = (
                        -logs.gather(1, token[:, None])[:, 0],
                        -(logs.exp() * logs).sum(1),
                        (logs.argmax(1) == token).float(),
                        torch.ones_like(token),
                    )
                    for total, each in zip(found, sums, strict=False):
                        total.index_put_((place[row], option), each, accumulate=True)
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
            yield Batch(place, inputs, predicted(some, self.voice.device))

    def moments(self) -> Moments | None:
        """Adam's state at the end of this training."""
        return self.snapshots[-1].moments

    def checkpoints(self) -> "Sequence[tuple[float, Speaking]]":
        """The models on the way, each with the mean learning rate since the one before."""
        return [
            (snapshot.rate, Speaking(self.voice, self.snapshots[: at + 1]))
            for at, snapshot in enumerate(self.snapshots)
        ]
