"""How processes talk: messages of JSON and tensors, by gloo, from the main process to all and from each to it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

Message = Mapping[str, Any]


class Line:
    """A connection of all processes. Raises RuntimeError where one of them is gone."""

    def __init__(self, group: Any) -> None:
        self._group = group

    def tell(self, message: Message, tensors: Mapping[str, Tensor]) -> None:
        """From the main process to all others."""
        for frame in packed({**message, "names": list(tensors)}, list(tensors.values())):
            dist.broadcast(frame, 0, group=self._group)

    def told(self) -> tuple[Message, dict[str, Tensor]]:
        """What the main process tells."""
        message, tensors = unpacked(lambda frame: dist.broadcast(frame, 0, group=self._group))
        return message, dict(zip(message["names"], tensors, strict=True))

    def answer(self, message: Message, tensors: Sequence[Tensor]) -> None:
        """From another process to the main one."""
        for frame in packed(message, tensors):
            dist.send(frame, 0, group=self._group)

    def heard(self, rank: int) -> tuple[Message, list[Tensor]]:
        """What another process answers."""
        return unpacked(lambda frame: dist.recv(frame, rank, group=self._group))

    def close(self) -> None:
        """Hang up. Threads of gloo that are still there at the end of a process would abort it."""
        dist.destroy_process_group()


def packed(message: Message, tensors: Sequence[Tensor]) -> list[Tensor]:
    """A message and its tensors as bytes: the length of the header, the header, each tensor."""
    flat = [tensor.detach().cpu().contiguous() for tensor in tensors]
    about = [(str(tensor.dtype).removeprefix("torch."), list(tensor.shape)) for tensor in flat]
    header = bytearray(json.dumps({**message, "tensors": about}).encode())
    # By way of numpy, which knows nothing of inference mode: such tensors refuse to travel.
    payload = [torch.from_numpy(tensor.reshape(-1).view(torch.uint8).numpy()) for tensor in flat if tensor.numel()]
    return [torch.tensor([len(header)]), torch.frombuffer(header, dtype=torch.uint8), *payload]


def unpacked(pull: Callable[[Tensor], Any]) -> tuple[Message, list[Tensor]]:
    """What `packed` made, its frames filled one after another by `pull`."""
    with torch.inference_mode(False):
        pull(length := torch.empty(1, dtype=torch.int64))
        pull(header := torch.empty(int(length), dtype=torch.uint8))
        message = json.loads(header.numpy().tobytes())
        tensors = [torch.empty(shape, dtype=getattr(torch, kind)) for kind, shape in message.pop("tensors")]
        for tensor in tensors:
            if tensor.numel():
                pull(tensor.view(-1).view(torch.uint8))
    return message, tensors
