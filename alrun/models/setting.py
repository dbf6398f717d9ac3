"""What the trained networks of a run share, and how one reads items: in batches that several processes may share."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from ..errors import RunFailed
from ..processes import Pass, crew
from ..types import Part
from .backbone import Backbone
from .inputs import Inputs, by_length
from .objective import Objective
from .training import fitting

ROWS = "rows"  # among parameters, whose names have dots
SPILL = 4 * 2**30  # bytes of embeddings above which they go to a file, on the CPU


@dataclass(frozen=True)
class Setting:
    """What every trained network of a run has in common."""

    backbone: Backbone
    inputs: Inputs
    objective: Objective
    batch: int  # items at a time when nothing is trained
    half: bool  # whether the network computes in bfloat16
    frozen: bool  # nothing below the head is trained
    name: str  # of the base, as its user calls it
    report: Callable[[str, int, int], None]
    known: dict[Part, Tensor] = field(default_factory=dict)  # embeddings (n, D) of a frozen network

    def __post_init__(self) -> None:
        crew().offer("embed", self._asked)

    @torch.inference_mode()
    def embed(self, parameters: Mapping[str, Tensor], part: Part, rows: np.ndarray) -> Tensor:
        """(n, D) embeddings of these rows under these parameters."""
        head = self.backbone.module.head
        found = room(len(rows), head.in_features, head.weight.device)
        work = self._reading(parameters, part, rows)
        given = {**parameters, ROWS: torch.from_numpy(rows)}
        done = 0
        for at, (embeddings,) in crew().shared("embed", {"part": part, "files": self.files}, given, work):
            found[torch.from_numpy(at).to(found.device)] = embeddings.to(found.device)
            done += len(at)
            self.report("reading", done, len(rows))
        return found

    def _reading(self, parameters: Mapping[str, Tensor], part: Part, rows: np.ndarray) -> Pass:
        """The embeddings (b, D) of these rows, batch by batch."""
        module = self.backbone.module

        @fitting()
        @torch.inference_mode()
        def compute(at: np.ndarray) -> list[Tensor]:
            inputs = self.inputs.batch(part, rows[at])
            return [functional_call(module, dict(parameters), (inputs, self.half))[1]]

        return Pass(by_length(self.inputs.lengths(part)[rows], self.batch), compute)

    def _asked(self, about: Mapping[str, Any], given: dict[str, Tensor]) -> Pass:
        """The same in another process: these parameters on its own copy of the base."""
        self.demand(about["files"])
        rows = given.pop(ROWS).numpy()
        return self._reading({name: value.to(self.device) for name, value in given.items()}, about["part"], rows)

    @property
    def files(self) -> list[str]:
        """sha256 of what the base was loaded from."""
        return list(self.backbone.files.values())

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.backbone.module.head.weight.device

    def demand(self, files: Sequence[str]) -> None:
        """Raise RunFailed unless the base was loaded from these files."""
        if files != self.files:
            raise RunFailed(f"its weights of {self.name!r} differ from those of the main process")

    def embeddings(self, parameters: Mapping[str, Tensor], part: Part, idx: Tensor) -> Tensor:
        """(n, D) embeddings of these items; of a frozen network each part is computed once."""
        if not self.frozen:
            return self.embed(parameters, part, idx.cpu().numpy())
        if part not in self.known:
            every = np.arange(len(self.inputs.lengths(part)))
            self.known[part] = self.embed(parameters, part, every)
        return self.known[part][idx.to(self.known[part].device)]


def room(n: int, width: int, device: torch.device) -> Tensor:
    """(n, width) float32 without values: in memory, or in a file that goes away with it where it would be large."""
    if device.type != "cpu" or n * width * 4 <= SPILL:
        return torch.empty(n, width, device=device)
    with tempfile.TemporaryFile() as file:
        return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=(n, width)))
