"""A user's mistake is one message and one or two ways out."""

import difflib
import errno
import re
from collections.abc import Sequence
from pathlib import Path


class UserError(Exception):
    """Something the user can mend: what is wrong (both numbers or names), and hints on the way out."""

    def __init__(self, message: str, *hints: str) -> None:
        super().__init__(message)
        self.message = message
        self.hints = hints


class RunFailed(Exception):
    """A run ended early through no mistake in the command (full disk, out of memory); its cycles are kept."""


class Waiting(Exception):
    """A run stopped as it should: people are to label a batch before it goes on."""

    def __init__(self, folder: Path, table: Path, size: int) -> None:
        super().__init__(f"{size} items of {table} wait for their labels")
        self.folder, self.table, self.size = folder, table, size


REFUSALS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file-size limit is reached",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write",
    errno.EPERM: "no permission to write",
}
UNSET = re.compile(r"Environment variable '(\w+)' not found")
EXAMPLES = {"budget.phases": "a list of phases: 'budget.phases=[{labels: 3, cycles: 4}]'"}
EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray", "optuna": "optuna"}


def nearest(word: str, known: Sequence[str]) -> list[str]:
    """A did-you-mean hint, if one is near."""
    group, dot, end = word.rpartition(".")
    beside = _beside(group, known)
    if not beside:
        group, dot, end, beside = "", "", word, list(known)
    close = difflib.get_close_matches(end, beside, n=1)  # by what differs: a long common beginning makes all alike
    return [f"did you mean {group}{dot}{close[0]}?"] if close else []


def _beside(group: str, known: Sequence[str]) -> list[str]:
    """The last parts of the dotted keys in a group."""
    return [key.rpartition(".")[2] for key in known if key.rpartition(".")[0] == group]


def _ways(name: str, known: Sequence[str]) -> list[str]:
    """The nearest key, or else what can be set beside it."""
    group = name.rpartition(".")[0]
    others = [key for key in _beside(group, known) if key not in ("name", "method")] if group in known else []
    offered = f"its options: {', '.join(others)}" if others else f"the chosen {group} has no options"
    return nearest(name, known) or ([offered] if group in known else [])


def explain(error: Exception, known: Sequence[str]) -> UserError:
    """A Hydra or OmegaConf exception in the words of this tool; `known` are the config's dotted keys."""
    text = str(error)
    missing = getattr(error, "missing_cfg_file", None)
    if missing and getattr(error, "options", None) is not None:
        group, _, option = str(missing).rpartition("/")
        choices = sorted(error.options)  # type: ignore[attr-defined]
        extra = EXTRAS.get(option) if group == "hydra/launcher" or group == "hydra/sweeper" else None
        way = [f"pip install 'alrun[{extra}]'"] if extra else nearest(option, choices)
        return UserError(f"{group} has no option {option!r}", *way, f"one of {', '.join(choices)}")
    if missing:
        return UserError(f"no config {str(missing)!r}", "alrun ls shows the options of every group")
    override = getattr(error, "override", None)
    if override is not None and type(error).__name__ == "OverrideParseException":
        return UserError(
            f"cannot read {override!r}", "an override is key=value; quote brackets and spaces for the shell"
        )
    unset = UNSET.search(text)
    if unset:
        name = unset.group(1)
        return UserError(
            f"the environment variable {name} is not set, and the config asks for it", f"export {name}=..."
        )
    several = re.match(r"Ambiguous value for argument '([^']+)'", text)
    if several:
        return UserError(f"{several.group(1)!r} lists several values", "add -m to sweep over them")
    reason = str(error.__cause__).splitlines()[0] if error.__cause__ and str(error.__cause__) else ""
    merging = re.match(r"Error merging override (.+)", text)
    if merging:
        example = EXAMPLES.get(merging.group(1).partition("=")[0])
        return UserError(f"bad value in {merging.group(1)!r}", example or reason)
    key = re.search(r"(?:Could not (?:override|append to config|delete from config)[^']*'\+?)([^'=]+)", text)
    if key:
        name = key.group(1).strip().rstrip(".")
        if name in known and reason:
            return UserError(f"bad value for {name!r}", reason)
        return UserError(f"no config key {name!r}", *_ways(name, known), "alrun run --cfg shows every key")
    place = getattr(error, "problem_mark", None)
    if place is not None:
        return UserError(f"{place.name} is not YAML: line {place.line + 1}: {getattr(error, 'problem', '')}")
    lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return UserError(lines[0], *([reason] if reason and reason != lines[0] else lines[1:2]))
