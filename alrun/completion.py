"""Tab completion of overrides: `group=option` pairs. Nothing heavier than Hydra may be imported on this path."""

import os
from collections.abc import Iterator


def mend_bash() -> None:
    """bash splits words at `=` and asks to complete the `=` itself; ask for the word behind it instead."""
    if os.environ.get("_ALRUN_COMPLETE", "").endswith("bash"):
        words = os.environ.get("COMP_WORDS", "").split("\n")
        current = int(os.environ.get("COMP_CWORD", "0"))
        if current < len(words) and words[current] == "=":
            os.environ["COMP_CWORD"] = str(current + 1)


def overrides(incomplete: str) -> Iterator[str]:
    """What may follow: group names with their options, or the options of the group before `=`."""
    from .launch import options

    words = os.environ.get("COMP_WORDS", "").split("\n")
    current = int(os.environ.get("COMP_CWORD", "0"))
    groups = options()
    before = words[current - 1] if 0 < current <= len(words) else ""
    if before == "=" and current >= 2:  # bash: `strategy` `=` `ba`
        yield from (
            option for option in groups.get(words[current - 2].lstrip("+"), []) if option.startswith(incomplete)
        )
        return
    plus = "+" if incomplete.startswith("+") else ""
    group, equals, _ = incomplete.removeprefix("+").partition("=")
    if equals:
        yield from (f"{plus}{group}={option}" for option in groups.get(group, []))
    else:
        yield from (f"{plus}{name}=" for name in [*groups, "seed"])
