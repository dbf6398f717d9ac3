"""What is heavy travels deflated, and is counted against the page's size."""

import base64
import zlib
from dataclasses import dataclass, field
from typing import Any

from .markup import dense


def pack(content: Any) -> str:
    """JSON, deflated, as base64: what the page's `unpack` reads."""
    return deflate(dense(content))


def deflate(content: str | bytes) -> str:
    """Text or bytes, deflated, as base64."""
    raw = content.encode() if isinstance(content, str) else content
    return base64.b64encode(zlib.compress(raw, 6)).decode()


@dataclass
class Room:
    """How many bytes the page may still take, and what did not fit."""

    left: int
    omitted: list[str] = field(default_factory=list)

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes; they are then taken."""
        if size > self.left:
            return False
        self.left -= size
        return True
