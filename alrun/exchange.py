"""The items of instruction data."""

from typing import NamedTuple


class Exchange(NamedTuple):
    """A prompt and what may be said after it. Of several options the label says which is right, and is worth buying.

    One option is a completion that comes with the item, as in instruction data: nothing is left to ask, and its label
    says nothing.
    """

    prompt: str
    options: tuple[str, ...]

    def completion(self, label: int) -> str:
        """What is said under a label."""
        return self.options[0] if len(self.options) == 1 else self.options[label]

    @property
    def text(self) -> str:
        """What anyone may read of it: the prompt, and the completion where it comes along."""
        return f"{self.prompt}\n{self.options[0]}" if len(self.options) == 1 else self.prompt
