"""One run in several processes, as `accelerate launch` starts them.

The main process reads the command, owns the folder, trains and selects. A pass over many items it shares: every process
computes batches of it, each batch exactly as one process alone would, and the main one puts them in order. The others
wait for their part (following.py). What travels is JSON and tensors, by gloo, whatever the devices compute on.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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


Maker = Callable[[Mapping[str, Any], "dict[str, Tensor]"], Pass]  # what was asked, and the tensors that came with it


class Crew:
    """The processes of a run, seen from one of them. Alone it sends nothing and needs no torch.distributed."""

    def __init__(self, rank: int = 0, size: int = 1, line: Any = None) -> None:
        self.rank, self.size, self._line = rank, size, line
        self.offers: dict[str, Maker] = {}  # what a process beside the main one can compute
        self._open = False  # whether answers are still to come

    def offer(self, name: str, make: Maker) -> None:
        """Say how a pass of this name is made out of what the main process sends."""
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
            answer, tensors = self._heard(rank)
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
        """Send the others home, if they listen."""
        if self.size > 1 and not self._open:
            self.tell({"do": "end"})
            self.leave()

    def leave(self) -> None:
        """Close the line. Threads of gloo that are still there at the end of a process would abort it."""
        import torch.distributed as dist

        if self._line is not None:
            dist.destroy_process_group()

    def tell(self, message: Mapping[str, Any], tensors: "Mapping[str, Tensor] | None" = None) -> None:
        """From the main process to all others."""
        import torch.distributed as dist

        with self._connection("a process"):
            for frame in packed({**message, "names": list(tensors or {})}, list((tensors or {}).values())):
                dist.broadcast(frame, 0, group=self._line)

    def told(self) -> "tuple[dict[str, Any], dict[str, Tensor]]":
        """What the main process says, in another one."""
        import torch.distributed as dist

        message, tensors = unpacked(lambda frame: dist.broadcast(frame, 0, group=self._line))
        return message, dict(zip(message["names"], tensors, strict=True))

    def answer(self, message: Mapping[str, Any], tensors: "Sequence[Tensor]" = ()) -> None:
        """From another process to the main one."""
        import torch.distributed as dist

        for frame in packed(message, tensors):
            dist.send(frame, 0, group=self._line)

    def _heard(self, rank: int) -> "tuple[dict[str, Any], list[Tensor]]":
        import torch.distributed as dist

        with self._connection(f"process {rank}"):
            return unpacked(lambda frame: dist.recv(frame, rank, group=self._line))

    @contextmanager
    def _connection(self, who: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # gloo's own, whatever happened
            self._open = True
            left = f"{who} of {self.size} went away"
            raise RunFailed(f"{left}: committed cycles are kept, the same command continues") from error


def part(batches: int, rank: int, size: int) -> range:
    """The batches that a process computes."""
    return range(rank, batches, size)


def packed(message: Mapping[str, Any], tensors: "Sequence[Tensor]") -> "list[Tensor]":
    """A message and its tensors as bytes: the length of the header, the header, each tensor."""
    import torch

    flat = [tensor.detach().cpu().contiguous() for tensor in tensors]
    about = [(str(tensor.dtype).removeprefix("torch."), list(tensor.shape)) for tensor in flat]
    header = bytearray(json.dumps({**message, "tensors": about}).encode())
    # By way of numpy, which knows nothing of inference mode: such tensors refuse to travel.
    payload = [torch.from_numpy(tensor.reshape(-1).view(torch.uint8).numpy()) for tensor in flat if tensor.numel()]
    return [torch.tensor([len(header)]), torch.frombuffer(header, dtype=torch.uint8), *payload]


def unpacked(pull: "Callable[[Tensor], Any]") -> "tuple[dict[str, Any], list[Tensor]]":
    """What `packed` made, its frames filled one after another by `pull`."""
    import torch

    with torch.inference_mode(False):
        pull(length := torch.empty(1, dtype=torch.int64))
        pull(header := torch.empty(int(length), dtype=torch.uint8))
        message = json.loads(header.numpy().tobytes())
        tensors = [torch.empty(shape, dtype=getattr(torch, kind)) for kind, shape in message.pop("tensors")]
        for tensor in tensors:
            if tensor.numel():
                pull(tensor.view(-1).view(torch.uint8))
    return message, tensors


def launched() -> bool:
    """Whether this process is one of several that were started together."""
    return "MASTER_ADDR" in os.environ and any(int(os.environ.get(name) or 1) > 1 for name in SIZES)


def joined() -> Crew:
    """Meet the others, each on its own device. Returns when all are there."""
    import torch
    import torch.distributed as dist
    from accelerate import PartialState

    state = PartialState(cpu=True, backend="gloo")  # reads what torchrun or mpirun say; devices are chosen here
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None and accelerator.type != "mps":
        devices = getattr(torch, accelerator.type)
        devices.set_device(state.local_process_index % devices.device_count())
    return Crew(state.process_index, state.num_processes, dist.new_group(backend="gloo", timeout=PATIENCE))


ALONE = Crew()
CREW: ContextVar[Crew] = ContextVar("crew")  # of this process, if it met others


def crew() -> Crew:
    """The processes of this run."""
    return CREW.get(ALONE)
