"""What the options of a model may be at all."""

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
