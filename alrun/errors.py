"""A user's mistake is one message and one or two ways out."""


class UserError(Exception):
    """Something the user can mend: what is wrong (both numbers or names), and hints on the way out."""

    def __init__(self, message: str, *hints: str) -> None:
        super().__init__(message)
        self.message = message
        self.hints = hints


class RunFailed(Exception):
    """A run ended early through no mistake in the command (full disk, out of memory); its cycles are kept."""
