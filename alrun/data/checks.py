"""What can be wrong with data: an error where a run would mean nothing, a counted warning elsewhere."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import UserError
from .source import Items, Kind


def missing(values: np.ndarray) -> np.ndarray:
    """(n,) bool: None, NaN or an empty string."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind in "iub":
        return np.zeros(len(values), bool)
    return np.array([v is None or v != v or str(v).strip() in ("", "<NA>", "NaT") for v in values], bool)


def names(values: np.ndarray, where: str, *, unlabelled: bool = False) -> np.ndarray:
    """(n,) str class names of raw labels: 3, 3.0 and "3" are one class; "" for no label, where that is allowed."""
    values = np.asarray(values)
    if values.ndim != 1:
        raise UserError(
            f"the labels of {where} have shape {values.shape}: one label an item is needed",
            "a one-dimensional column or array; take the argmax of one-hot labels",
        )
    gone = missing(values)
    if gone.any():
        if unlabelled:
            words = np.full(len(values), "", object)
            if not gone.all():
                words[~gone] = names(values[~gone], where)
            return words
        raise UserError(
            f"{int(gone.sum())} of {len(values)} labels of {where} are missing, first in row {int(gone.argmax())}",
            "take these rows out: the oracle must be able to answer for every item; or let people answer: oracle=file",
        )
    if values.dtype.kind == "f":
        if np.isinf(values).any() or (values != np.round(values)).any():
            odd = values[np.isinf(values) | (values != np.round(values))]
            raise UserError(
                f"{len(odd)} of {len(values)} labels of {where} are not whole numbers ({odd[0]:g}, say)",
                "dataset.task=ordinal takes ratings, with dataset.bins=10 any numbers; or name another dataset.label",
            )
        values = values.astype(np.int64)
    return np.array([_name(v) for v in values.tolist()], object)


def _name(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.decode() if isinstance(value, bytes) else str(value).strip()


def ordered(found: Sequence[str]) -> tuple[str, ...]:
    """Class names in order: as numbers if all are whole numbers, else as words."""
    unique = set(found)
    if all(re.fullmatch(r"[+-]?\d+", name) for name in unique):
        return tuple(sorted(unique, key=lambda name: (int(name), name)))
    return tuple(sorted(unique))


def classes(train: Sequence[str], test: Sequence[str], where: str) -> tuple[str, ...]:
    """The classes of the train labels; UserError where they cannot be learned or the test split has others."""
    known = ordered(train)
    if not len(train):
        raise UserError(f"{where} has no items", "is it the right file, or the right split?")
    if len(known) == 1:
        raise UserError(
            f"all {len(train)} labels of {where} are {known[0]!r}: there is nothing to learn",
            "name another dataset.label",
        )
    if len(known) > len(train) / 2:
        raise UserError(
            f"{where} has {len(known)} different labels for {len(train)} items: these are not classes",
            "name another dataset.label",
        )
    strange = ordered(sorted(set(test) - set(known)))
    if strange:
        count = sum(name in set(strange) for name in test)
        raise UserError(
            f"{count} test labels of {where} are of {len(strange)} classes without train items: {_some(strange)}",
            "a class that cannot be bought cannot be learned: take these test rows out, or add such items to train",
        )
    return known


def items(kind: Kind, content: Items, columns: Sequence[str], where: str) -> list[str]:
    """Counted warnings about items; UserError for numbers that are not finite."""
    if kind == "pair":
        pairs: Any = content
        sides = (sum(not pair[side].strip() for pair in pairs) for side in (0, 1))
        return [
            f"{count} empty {which} texts" for which, count in zip(("first", "second"), sides, strict=True) if count
        ]
    if kind == "text":
        empty = [row for row, text in enumerate(content) if not text.strip()]
        return [f"{len(empty)} empty texts, first in row {empty[0]}"] if empty else []
    if kind == "table":
        assert isinstance(content, np.ndarray)
        wrong = ~np.isfinite(content)  # (n, F)
        if wrong.any():
            row, column = (int(i) for i in np.argwhere(wrong)[0])
            label = columns[column] if columns else f"column {column}"
            raise UserError(
                f"{int(wrong.sum())} values of {where} are missing or infinite, first in {label!r}, row {row}",
                "fill them in, or choose columns without them: dataset.input=[...]",
            )
        constant = int((content == content[0]).all(axis=0).sum())
        return [f"{constant} of {content.shape[1]} columns are constant"] if constant else []
    return []


def copies(marks: Sequence[bytes], labels: np.ndarray, test: np.ndarray) -> list[str]:
    """Counted warnings about repeated items; `marks` are hashes of their content."""
    inside = np.zeros(len(marks), bool)
    inside[test] = True
    first: dict[bytes, int] = {}
    repeated, crossing, contrary = 0, 0, 0
    train = {mark for mark, is_test in zip(marks, inside, strict=True) if not is_test}
    for row, mark in enumerate(marks):
        before = first.setdefault(mark, row)
        repeated += before != row
        contrary += labels[before] != labels[row] and min(labels[before], labels[row]) >= 0
        crossing += bool(inside[row]) and mark in train
    found = []
    if repeated:
        found.append(
            f"{repeated} items repeat another one" + (f", {contrary} of them with another label" * bool(contrary))
        )
    if crossing:
        found.append(f"{crossing} of {len(test)} test items are also in train")
    return found


def absent(known: Sequence[str], labels: np.ndarray, test: np.ndarray) -> list[str]:
    """A warning about classes that the test split does not have."""
    count = np.bincount(labels[test], minlength=len(known))  # (C,)
    gone = [known[c] for c in np.flatnonzero(count == 0).tolist()]
    return [f"{len(gone)} of {len(known)} classes are not in the test split: {_some(gone)}"] if gone else []


def _some(found: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in found[:5])
    return shown + (f" and {len(found) - 5} more" if len(found) > 5 else "")
