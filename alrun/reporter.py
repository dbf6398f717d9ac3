"""Whoever shows a run while it goes on."""

from typing import Any


class Quiet:
    """Shows nothing, as in sweeps, whose table is read from the folders; a screen shows some of it."""

    def begin(self, prepared: Any, done: int) -> None:
        """The folder is ours; `done` cycles are already there."""

    def meaning(self, text: str) -> None:
        """What a strategy says of its scores."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def encoding(self, done: int, total: int) -> None:
        """Items encoded so far."""

    def working(self, what: str, done: int, total: int) -> None:
        """How far a model's training or reading has come."""

    def cycle(self, metrics: dict[str, Any], costs: dict[str, Any]) -> None:
        """A cycle stands on the disk."""

    def end(self, outcome: Any) -> None:
        """The run is finished."""
