"""One run in several processes, as `accelerate launch` starts them.

The main process reads the command, owns the folder, trains and selects. A pass over many items it shares: every process
computes batches of it, each batch exactly as one process alone would, and the main one puts them in order. The others
wait for their part (following.py). What travels is JSON and tensors, by gloo, whatever the devices compute on.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import RunFailed

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # torchrun's, then those of MPI
ROUND = 8  # batches of each process between two reports: enough for long and short ones to even out
PATIENCE = timedelta(days=365)  # the others wait while the main process trains; that it ended they notice at once


class Pass(NamedTuple):
    """A long computation in batches that know nothing of each other."""

    batches: "Sequence[np.ndarray]"
    compute: "Callable[[np.ndarray], Sequence[Tensor]]"  # as many tensors for every batch
    light: bool = False  # not worth sending anything


# From what was asked, and the tensors that came with it, to a pass, or to what passes are over.
Maker = Callable[[Mapping[str, Any], "dict[str, Tensor]"], Any]


class Crew:
    """The processes of a run, seen from one of them. Alone it sends nothing and needs no torch.distributed."""

    def __init__(self, rank: int = 0, size: int = 1, line: Any = None) -> None:
        self.rank, self.size, self.line = rank, size, line
        self.offers: dict[str, Maker] = {}  # what a process beside the main one has to offer
        self._open = False  # whether something is still to be said or heard

    def offer(self, name: str, make: Maker) -> None:
        """Say how what has this name is made out of what the main process sends."""
        if self.rank:
            self.offers[name] = make

    def shared(
        self, name: str, about: Mapping[str, Any], given: "Mapping[str, Tensor]", work: Pass
    ) -> "Iterator[tuple[np.ndarray, Sequence[Tensor]]]":
        """Every batch of `work` with what it gives, in order; computed by all processes where there are several."""
        if self.size == 1 or work.light or len(work.batches) < 2:
            yield from ((batch, work.compute(batch)) for batch in work.batches)
            return
        self.tell({"do": name, "about": about}, given)
        step = ROUND * self.size
        for first in range(0, len(work.batches), step):
            batches = work.batches[first : first + step]
            yield from zip(batches, self._round(first, batches, work), strict=True)

    def _round(self, first: int, batches: "Sequence[np.ndarray]", work: Pass) -> "list[Sequence[Tensor]]":
        """The results of some batches. All answers are heard before a failure leaves: nobody is left speaking."""
        self.tell({"do": "round", "first": first})
        self._open = True
        found: dict[int, Sequence[Tensor]] = {}
        failure: Exception | None = None
        try:
            found |= {at: work.compute(batches[at]) for at in part(len(batches), 0, self.size)}
        except Exception as error:  # of any kind: it leaves below
            failure = error
        for rank in range(1, self.size):
            answer, tensors = self.heard(rank)
            if "error" in answer:
                failure = failure or RunFailed(f"process {rank} of {self.size}: {answer['error']}")
                continue
            each = answer["each"]
            for place, at in enumerate(part(len(batches), rank, self.size)):
                found[at] = tensors[place * each : (place + 1) * each]
        self._open = False
        if failure is not None:
            raise failure
        return [found[at] for at in range(len(batches))]

    def begin(self, about: Mapping[str, Any]) -> None:
        """Tell the others which run this is."""
        if self.size > 1:
            self.tell({"do": "run", "about": about})

    def end(self) -> None:
        """Send the others home, if they listen: an interrupt may have reached them first."""
        if self.size > 1 and not self._open:
            with suppress(RunFailed):
                self.tell({"do": "end"})
                self.line.close()

    def tell(self, message: Mapping[str, Any], tensors: "Mapping[str, Tensor] | None" = None) -> None:
        """From the main process to all others."""
        with self._connected("a process"):
            self.line.tell(message, tensors or {})

    def heard(self, rank: int) -> "tuple[Mapping[str, Any], list[Tensor]]":
        """The answer of another process."""
        with self._connected(f"process {rank}"):
            return self.line.heard(rank)

    @contextmanager
    def _connected(self, who: str) -> Iterator[None]:
        before, self._open = self._open, True  # whatever interrupts half a message
        try:
            yield
        except RuntimeError as error:  # gloo's own, whatever happened
            left = f"{who} of {self.size} went away"
            raise RunFailed(f"{left}: committed cycles are kept, the same command continues") from error
        self._open = before


def part(batches: int, rank: int, size: int) -> range:
    """The batches that a process computes."""
    return range(rank, batches, size)


def launched() -> bool:
    """Whether this process is one of several that were started together."""
    return "MASTER_ADDR" in os.environ and any(int(os.environ.get(name) or 1) > 1 for name in SIZES)


def left_alone() -> bool:
    """Whether several processes were asked for and accelerate started one: its --cpu starts more by mpirun only."""
    names = os.environ
    return {"MASTER_ADDR", "ACCELERATE_USE_CPU"} <= names.keys() and not any(name in names for name in SIZES)


def joined() -> Crew:
    """Meet the others, each on its own device. Returns when all are there."""
    import torch
    import torch.distributed as dist
    from accelerate import PartialState

    from .wire import Line

    state = PartialState(cpu=True, backend="gloo")  # reads what torchrun or mpirun say; devices are chosen here
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None and accelerator.type != "mps":
        devices = getattr(torch, accelerator.type)
        devices.set_device(state.local_process_index % devices.device_count())
    line = Line(dist.new_group(backend="gloo", timeout=PATIENCE))
    return Crew(state.process_index, state.num_processes, line)


ALONE = Crew()
CREW: ContextVar[Crew] = ContextVar("crew")  # of this process, if it met others


def crew() -> Crew:
    """The processes of this run."""
    return CREW.get(ALONE)
