"""Everything a dataset has, before a run takes its part of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Literal

import numpy as np

from ..exchange import Exchange
from .images import Images

Kind = Literal["text", "pair", "instruction", "image", "table"]
Text = str | tuple[str, str]  # one, or the two of a pair

# Texts or pairs; pictures of one size, uint8 (n, H, W) or (n, H, W, 3), or still encoded; or columns, float32 (n, F).
Items = list[str] | list[tuple[str, str]] | list[Exchange] | np.ndarray | Images


@dataclass(frozen=True)
class Source:
    """A dataset: items with their labels, train rows first (numbered as in the user's file), then a separate test file.

    `items[row]` is a text, two texts, the uint8 pixels of a picture, or a row of numbers. Where the test split was cut
    from the train file its rows lie among the others.
    """

    name: str
    kind: Kind
    items: Items
    labels: np.ndarray  # (n,) int64
    classes: tuple[str, ...]
    test: np.ndarray  # (t,) int64 rows of the test split, ascending
    warnings: tuple[str, ...]  # counted findings about the data
    fingerprint: str  # hash of items, labels, classes and split
    columns: tuple[str, ...] = ()  # what the numbers of a table are called
    levels: np.ndarray | None = None  # (C,) float64 ascending, what each class of an ordinal task stands for
    values: np.ndarray | None = None  # (n,) float64, the numbers that the labels of an ordinal task were
    aside: np.ndarray | None = None  # (a,) int64 rows for the target split alone; None: it is drawn from train rows

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def train(self) -> np.ndarray:
        """(n - t,) int64 rows outside the test split, and not set aside for the target, ascending."""
        held = self.test if self.aside is None else np.concatenate([self.test, self.aside])
        return np.setdiff1d(np.arange(len(self.labels)), held)


class Chosen(Sequence):
    """The items of some rows, fetched when they are looked at."""

    def __init__(self, items: Items, rows: np.ndarray) -> None:
        self.items, self.rows = items, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at):  # type: ignore[override]
        return self.items[self.rows[at]]


def digests(items: Items) -> list[bytes]:
    """One 16-byte hash per item: equal content, equal hash."""
    if isinstance(items, Images):
        return items.digests()
    if isinstance(items, np.ndarray):
        return [sha256(row.tobytes()).digest()[:16] for row in np.ascontiguousarray(items)]
    return [sha256(_bytes(text)).digest()[:16] for text in items]


def _bytes(text: Text | Exchange) -> bytes:
    """A text, or a pair with the length of its first text ahead, so that no two pairs look alike."""
    if isinstance(text, Exchange):
        text = f"{len(text.options)} {text.prompt}\0{text.options!r}"
    if isinstance(text, str):
        return text.encode(errors="surrogatepass")
    first, second = (part.encode(errors="surrogatepass") for part in text)
    return b"%d:" % len(first) + first + second


def fingerprint(
    kind: Kind,
    marks: Sequence[bytes],
    items: Items,
    labels: np.ndarray,
    classes: Sequence[str],
    test: np.ndarray,
    *numbers: np.ndarray,
) -> str:
    """A hash of all that a run can see of a dataset; `marks` are the items' own hashes, `numbers` an ordinal task's."""
    shape = f"{items.dtype}{items.shape[1:]}" if isinstance(items, np.ndarray) else "-"
    whole = sha256(f"{kind} {shape} {len(labels)} {list(classes)!r}".encode())
    for part in (b"".join(marks), labels.astype("<i8").tobytes(), test.astype("<i8").tobytes()):
        whole.update(part)
    for array in numbers:
        whole.update(array.astype("<f8").tobytes())
    return whole.hexdigest()
