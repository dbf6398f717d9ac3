"""A fine-tuned network: what it says about items, and how its gradients are taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from ..needs import Need, gradients, refusal
from ..types import Batch, Batches, Head, Moments, Outputs, Part, Scope
from .blocks import last_block
from .inputs import by_length
from .keeping import adapter_files, tensors
from .setting import Setting
from .training import Snapshot


@dataclass(frozen=True)
class Tuned:
    """A network trained in one cycle: its own parameters on the shared base."""

    setting: Setting
    snapshots: Sequence[Snapshot]  # the last one is the network
    labelled: Tensor  # (l,) pool indices it was trained on
    labels: Tensor  # (l,)

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """What was trained, by name."""
        return self.snapshots[-1].parameters

    def outputs(self, part: Part, idx: Tensor) -> Outputs:
        """Embeddings are the pooled, scaled vectors that the last layer reads."""
        embeddings = self.setting.embeddings(self.parameters, part, idx)  # (n, D)
        weight, bias = self.head()
        return Outputs(embeddings @ weight.T + bias, embeddings)

    def head(self) -> Head:
        """The last layer; of squared error the linear layer that says the same about every class."""
        spread = self._spread if self._squared else 1.0
        return self.setting.objective.head(self.parameters["head.weight"], self.parameters["head.bias"], spread)

    @cached_property
    def _seen(self) -> Tensor:
        """(l, D) embeddings of what it was trained on, without dropout."""
        return self.setting.embeddings(self.parameters, "pool", self.labelled)

    @cached_property
    def _spread(self) -> float:
        raw = self._seen @ self.parameters["head.weight"].T + self.parameters["head.bias"]  # (l, 1)
        return self.setting.objective.spread(raw, self.labels)

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the network as it is used, without dropout, whatever it was trained for."""
        weight, bias = self.head()
        return float(cross_entropy(self._seen @ weight.T + bias, self.labels)) if len(self.labels) else float("nan")

    @property
    def notes(self) -> Mapping[str, float]:
        """Updates made; of squared error the deviation of the ratings around what is predicted, in their unit."""
        moments = self.snapshots[-1].moments
        steps = {"steps": float(moments.step if moments else 0)}
        return steps | ({"deviation": self._spread**0.5 * self.setting.objective.unit} if self._squared else {})

    @property
    def _squared(self) -> bool:
        return self.setting.objective.values is not None

    def files(self) -> Mapping[str, bytes]:
        """Adapters in peft's format, or all that was trained below the head; and the head (types.Savable)."""
        below = {name.removeprefix("base."): value for name, value in self.parameters.items() if name[:5] == "base."}
        config = self.setting.backbone.adapters
        found = {"head.safetensors": tensors(self.head()._asdict())}
        if config is not None:
            found |= adapter_files(below, config)
        elif below:
            found["model.safetensors"] = tensors(below)
        return found

    def network(self) -> "Tuning":
        """Its gradients."""
        return Tuning(self.setting, self.snapshots)


@dataclass(frozen=True)
class Tuning:
    """A trained network as its gradients see it (types.Network): in evaluation mode and float32."""

    setting: Setting
    snapshots: Sequence[Snapshot]

    @property
    def module(self) -> nn.Module:
        """The network that all cycles share: only names and hooks are meaningful, its own values are anyone's."""
        return self.setting.backbone.module

    def parameters(self, scope: Scope) -> dict[str, Tensor]:
        """Trained parameters of a scope by name, in the module's order."""
        every = self.snapshots[-1].parameters
        names = [name for name, _ in self.module.named_parameters() if name in every]
        chosen = {
            Scope.head: [name for name in names if name.startswith("head.")],
            Scope.last_block: last_block([name for name in names if name.startswith("base.")]),
            Scope.lora: [name for name in names if "lora_" in name],
            Scope.all: names,
        }[scope]
        if not chosen:
            raise refusal(gradients(scope), offered=[Need.gradients_head, Need.gradients_all])
        return {name: every[name] for name in chosen}

    def losses(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """(b,) the training loss of each item under these parameters, all others as they were trained."""
        whole = {**self.snapshots[-1].parameters, **parameters}
        logits = functional_call(self.module, whole, (batch.inputs,))[0]
        return self.setting.objective.losses(logits, batch.labels)

    def batches(self, part: Part, idx: Tensor, labels: Tensor) -> Batches:
        """The items in batches of about one length, the longest first."""
        rows = idx.cpu().numpy()
        device = self.setting.device

        def make(at: np.ndarray) -> Batch:
            place = torch.from_numpy(at).to(device)
            return Batch(place, self.setting.inputs.batch(part, rows[at]), labels.to(device)[place])

        return Batches(by_length(self.setting.inputs.lengths(part)[rows], self.setting.batch), make)

    def moments(self) -> Moments | None:
        """Adam's state at the end of this training."""
        return self.snapshots[-1].moments

    def checkpoints(self) -> "Sequence[tuple[float, Tuning]]":
        """The networks on the way, each with the mean learning rate since the one before."""
        return [
            (snapshot.rate, Tuning(self.setting, self.snapshots[: at + 1]))
            for at, snapshot in enumerate(self.snapshots)
        ]

    def report(self, done: int, of: int) -> None:
        """How far a pass over items has come."""
        self.setting.report("gradients", done, of)

    def told(self) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
        """Its base by its files, and what was trained."""
        return {"files": self.setting.files}, self.snapshots[-1].parameters


def again(setting: Setting, about: Mapping[str, Any], given: Mapping[str, Tensor]) -> Tuning:
    """The network that `told` spoke of, on this process's own copy of the base."""
    setting.demand(about["files"])
    return Tuning(setting, [Snapshot(0.0, {name: value.to(setting.device) for name, value in given.items()}, None)])
