"""One strategy after another: schedules over labels or cycles."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .. import registry
from ..errors import UserError, nearest
from ..registry import option, option_file
from ..types import Selection, Size, View


class Count(StrEnum):
    """What the ends of stages are counted in."""

    labels = "labels"  # labelled so far
    classes = "classes"  # labelled so far, in multiples of the number of classes
    cycles = "cycles"  # acquisitions so far


@dataclass
class Stage:
    """A strategy, and the count at which the next one takes over; the last stage has no end."""

    strategy: Any = "???"  # the name of a shipped one, or its name and options: {name: badge}
    until: int | None = None


def memory(size: Size) -> int:
    """Nothing but what its stages take."""
    return 0


def whole(strategy: Any) -> dict[str, Any]:
    """The name and all options of a strategy given as in a Stage, checked."""
    given = params(strategy)
    named = {key: given[key] for key in ("name", "method") if given.get(key)}
    return named | registry.options("strategy", given)


def params(strategy: Any) -> dict[str, Any]:
    """The name and options of a strategy given as in a Stage, a shipped one completed from its YAML."""
    if isinstance(strategy, str):
        if not option_file("strategy", strategy).is_file():
            known = sorted(path.stem for path in option_file("strategy", strategy).parent.glob("*.yaml"))
            hints = [*nearest(strategy, known), "your own: {name: ..., and every option}"]
            raise UserError(f"no shipped strategy is called {strategy!r}", *hints)
        return option("strategy", strategy)
    if not isinstance(strategy, dict) or not strategy.get("name"):
        raise UserError(f"{strategy!r} is no strategy", "a name, or {name: uherding, sigma: 0.5}")
    shipped = option("strategy", strategy["name"]) if option_file("strategy", strategy["name"]).is_file() else {}
    return shipped | strategy


def expand(options: dict[str, Any]) -> dict[str, Any]:
    """The schedule, checked, with what its stages call in full."""
    schedule = options["schedule"]
    ends = [stage["until"] for stage in schedule]
    if not ends or ends[-1] is not None or None in ends[:-1]:
        raise UserError(
            f"the schedule ends at {ends}: every stage but the last needs an end",
            "[{strategy: random, until: 40}, {strategy: entropy}]",
        )
    if any(end < 1 for end in ends[:-1]) or ends[:-1] != sorted(set(ends[:-1])):
        raise UserError(f"the stages end at {ends[:-1]}, which does not grow from 1 up")
    return options | {"schedule": [stage | {"strategy": whole(stage["strategy"])} for stage in schedule]}


@registry.strategy(memory=memory, expand=expand, needs=[])
def switch(view: View, n: int, *, unit: Count, schedule: list[Stage]) -> Selection:
    """The strategy of the first stage that has not ended when the cycle begins; a batch is never divided.

    Notes say which stage it was, counted from 0, besides what the stage notes.
    """
    plain = [stage if isinstance(stage, dict) else vars(stage) for stage in schedule]
    counts = {Count.cycles: view.cycle, Count.labels: len(view.labelled)}
    count = counts.get(unit, len(view.labelled) / view.n_classes)
    now = next(at for at, stage in enumerate(plain) if stage["until"] is None or count < stage["until"])
    selection = registry.build("strategy", plain[now]["strategy"])(view, n)
    return selection._replace(notes={**selection.notes, "stage": float(now)})


@registry.strategy(
    memory=memory, expand=lambda options: options | {key: whole(options[key]) for key in ("first", "then")}, needs=[]
)
def tcm(view: View, n: int, *, rounds: int, first: Any, then: Any) -> Selection:
    """TypiClust in the first `rounds` cycles, then margin (Doucet et al. 2024, whose exact rule could not be read)."""
    if rounds < 0:
        raise UserError(f"strategy.rounds={rounds} is negative", "strategy.rounds=0 or more")
    selection = registry.build("strategy", first if view.cycle < rounds else then)(view, n)
    return selection._replace(notes={**selection.notes, "rounds": float(rounds), "stage": float(view.cycle >= rounds)})
