"""Checks of golden files, by kind. A module here registers its checks with `@check(prefix)`; it is found by itself."""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

from .golden_file import Golden

CHECKS: dict[str, Callable[[Golden], None]] = {}


def check(prefix: str) -> Callable[[Callable[[Golden], None]], Callable[[Golden], None]]:
    """Register a check for the files whose name begins with `prefix`."""

    def register(function: Callable[[Golden], None]) -> Callable[[Golden], None]:
        assert prefix not in CHECKS, f"two checks for {prefix}"
        CHECKS[prefix] = function
        return function

    return register


def find(path: Path) -> Callable[[Golden], None] | None:
    """The check with the longest prefix of the file's name, or None."""
    return CHECKS.get(max((prefix for prefix in CHECKS if path.stem.startswith(prefix)), key=len, default=""))


for _module in pkgutil.iter_modules(__path__):
    if _module.name != "golden_file":
        importlib.import_module(f"{__name__}.{_module.name}")
