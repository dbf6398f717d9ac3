"""What was found below some folders: the finished runs, and what is to be known about the others."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError
from ..plots.files import RunFiles

# A damaged file can go wrong in any of these ways, beside the UserError that names it.
DAMAGE = (
    UserError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True)
class Entry:
    """One finished run."""

    files: RunFiles
    setting: str  # what strategies are compared in: data set, encoder, model, budget; and options where they differ
    data: str  # the setting without its budget
    strategy: str  # the strategy's name; and options where they differ
    seed: int
    code: str  # version of alrun and commit
    diagnostic: bool  # the strategy saw labels that it could not have: never ranked

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.files.folder

    @property
    def finished(self) -> str:
        """When it ended, ISO 8601."""
        return str(self.files.facts.get("finished") or "")


class LeftOut(NamedTuple):
    """A folder that is in no average, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True)
class Collection:
    """Every finished run below some folders, and what is to be known about the others."""

    entries: list[Entry]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def settings(self) -> list[str]:
        """Settings in the order of their names."""
        return sorted({entry.setting for entry in self.entries})
