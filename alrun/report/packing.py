"""What is heavy travels deflated, and is counted against the page's size."""

import base64
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

from .markup import clean


def pack(content: Any) -> str:
    """JSON, deflated, as base64: what the page's `unpack` reads."""
    return deflate(json.dumps(clean(content), ensure_ascii=True, allow_nan=False, separators=(",", ":")))


def deflate(text: str) -> str:
    """A text, deflated, as base64."""
    return base64.b64encode(zlib.compress(text.encode(), 7)).decode()


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
