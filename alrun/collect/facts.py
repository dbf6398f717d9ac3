"""Is run.json what a run writes? Every reader of a collection may rely on what is checked here."""

from collections.abc import Mapping
from typing import Any


def mistyped(facts: Mapping[str, Any]) -> str | None:
    """What run.json has in place of what a run writes, in words; None where it is sound. What is absent is no fault."""
    for key, (wanted, fits) in WANTED.items():
        value = facts.get(key)
        if value is not None and not fits(value):
            return f"{key} in run.json is {value!r:.60}, not {wanted}"
    return None


def _words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _counts(value: object) -> bool:
    return isinstance(value, dict) and all(type(count) is int for count in value.values())


WANTED = {
    "labels": ("counts by name", _counts),
    "packages": ("versions by name", lambda value: isinstance(value, dict)),
    "argv": ("a list of words", _words),
    "warnings": ("a list of texts", _words),
    "classes": ("a list of names", lambda value: isinstance(value, list)),
}
