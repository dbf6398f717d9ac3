"""What the options of a model may be at all."""

import math

from ..errors import UserError


def at_least(least: int, **options: float) -> None:
    """Refuse options of the model below `least`."""
    for name, value in options.items():
        if value < least:
            raise UserError(f"model.{name}={value} is below {least}", f"model.{name}={least} or more")


def above_zero(**options: float) -> None:
    """Refuse options of the model that are not positive."""
    for name, value in options.items():
        if value <= 0:
            raise UserError(f"model.{name}={value} must be above 0", "any number above 0")


def finite(**options: float) -> None:
    """Refuse options of the model that are infinite."""
    for name, value in options.items():
        if not math.isfinite(value):
            raise UserError(f"model.{name}={value} is no finite number", f"model.{name}=1.0, say")


def share(**options: float) -> None:
    """Refuse options of the model that are no share of anything."""
    for name, value in options.items():
        if not 0 <= value <= 1:
            raise UserError(f"model.{name}={value} is not a share", f"0 <= model.{name} <= 1")
