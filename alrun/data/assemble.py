"""From what a loader read to a Source: labels become numbers, a missing test split is cut, everything is checked."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import UserError
from . import checks, scale
from .images import Images, Joined
from .scale import Scale
from .source import Items, Kind, Source, digests, fingerprint

SHARE = 0.3  # of each class, where there is no official test split


class Rows(NamedTuple):
    """One file or split as read: items and one raw label each."""

    items: Items
    labels: np.ndarray  # (n,) anything


def assemble(
    name: str,
    kind: Kind,
    train: Rows,
    test: Rows | None = None,
    share: float = SHARE,
    classes: Sequence[str] | None = None,
    columns: Sequence[str] = (),
    notes: Sequence[str] = (),
    graded: Scale | None = None,
    unlabelled: bool = False,
) -> Source:
    """A checked Source. Without `test`, `share` of each class becomes the test split, the same for every seed.

    `classes` are the names of labels that are class numbers already; otherwise the labels name their classes, or with
    `graded` are numbers on a scale. Where train rows may be `unlabelled`, those without a label have -1.
    """
    for rows, split in ((train, "train"), (test, "test")):
        if rows is not None and len(rows.items) != len(rows.labels):
            raise UserError(
                f"{name}: {len(rows.items)} {split} items, {len(rows.labels)} {split} labels", "one label an item"
            )
    items = train.items if test is None else _joined(name, train.items, test.items)
    if graded is not None:
        return _graded(name, kind, items, train, test, share, classes, columns, notes, graded)
    n = len(train.labels)
    words = [
        checks.names(rows.labels, f"{name} ({split})", unlabelled=unlabelled and split == "train")
        for rows, split in _parts(train, test)
    ]
    if classes is not None:
        words = [_named(part, classes, name) for part in words]
    if "" in words[0]:
        known = checks.ordered([word for part in words for word in part if word])
        if len(known) < 2:
            raise UserError(
                f"{name} has labels of {len(known)} classes", "a labelled test file names them: dataset.test="
            )
    else:
        known = checks.classes(words[0].tolist(), words[1].tolist() if test is not None else [], name)
    if classes is not None:
        known = tuple(c for c in classes if c in set(known))
    number = {word: c for c, word in enumerate(known)} | {"": -1}
    labels = np.array([number[word] for part in words for word in part], np.int64)  # (n,)
    found = [*notes, *checks.items(kind, items, columns, name)]
    marks = digests(items)
    held = cut(labels, marks, share) if test is None else np.arange(n, len(labels))  # (t,)
    held = held[labels[held] >= 0]
    _demand_held(held, n, name)
    found += checks.copies(marks, labels, held) + checks.absent(known, labels, held)
    mark = fingerprint(kind, marks, items, labels, known, held)
    return Source(name, kind, items, labels, known, held, tuple(found), mark, tuple(columns))


def _graded(
    name: str,
    kind: Kind,
    items: Items,
    train: Rows,
    test: Rows | None,
    share: float,
    classes: Sequence[str] | None,
    columns: Sequence[str],
    notes: Sequence[str],
    graded: Scale,
) -> Source:
    """A checked Source whose labels are numbers. The scale is fitted on train rows alone."""
    if not len(train.labels):
        raise UserError(f"{name} has no items", "is it the right file, or the right split?")
    values = np.concatenate(
        [scale.numbers(rows.labels, f"{name} ({split})") for rows, split in _parts(train, test)]
    )  # (n,)
    n, marks = len(train.labels), digests(items)

    def fit(rows: np.ndarray) -> scale.Levels:
        return scale.exact(rows, name) if graded.bins is None else scale.binned(rows, graded.bins, name)

    # A cut needs classes to be stratified by before there are train rows to fit them on: those of all rows.
    held = np.arange(n, len(values)) if test is not None else cut(fit(values).place(values), marks, share)
    _demand_held(held, n, name)
    kept = np.delete(values, held)
    found = fit(kept)
    labels, known = found.place(values), scale.named(found, classes)
    said = [*notes, *checks.items(kind, items, columns, name)]
    if graded.bins is not None and len(known) < graded.bins:
        said.append(f"{graded.bins} bins asked for, {len(known)} found: labels repeat")
    strange = ~np.isin(values[held], kept)
    if graded.bins is None and strange.any():
        said.append(f"{int(strange.sum())} test labels are between or beyond the levels of train: taken to the nearest")
    said += checks.copies(marks, labels, held) + checks.absent(known, labels, held)
    mark = fingerprint(kind, marks, items, labels, known, held, found.levels, values)
    return Source(name, kind, items, labels, known, held, tuple(said), mark, tuple(columns), found.levels, values)


def _demand_held(held: np.ndarray, n: int, name: str) -> None:
    if not len(held):
        raise UserError(
            f"{name}: no test item can be cut from {n} train items, too few of a class are different",
            "name a test split: dataset.test=",
        )


def _named(numbers: np.ndarray, classes: Sequence[str], name: str) -> np.ndarray:
    known = {str(c): word for c, word in enumerate(classes)}
    hidden = [number for number in numbers if number not in known]
    if hidden:
        raise UserError(
            f"{name}: {len(hidden)} of {len(numbers)} labels are {hidden[0]}, outside the {len(classes)} classes",
            "this split has no public labels: name another one, dataset.test=validation, say",
        )
    return np.array([known[number] for number in numbers], object)


def _parts(train: Rows, test: Rows | None) -> list[tuple[Rows, str]]:
    return [(train, "train")] if test is None else [(train, "train"), (test, "test")]


def _joined(name: str, train: Items, test: Items) -> Items:
    if isinstance(train, Images) and isinstance(test, Images):
        return Images(Joined(train.encoded, test.encoded))
    if isinstance(train, np.ndarray) and isinstance(test, np.ndarray):
        if train.shape[1:] != test.shape[1:]:
            raise UserError(
                f"{name}: train items have shape {train.shape[1:]}, test items {test.shape[1:]}",
                "both splits need the same columns or the same image size",
            )
        return np.concatenate([train, test])
    if isinstance(train, list) and isinstance(test, list):
        return train + test  # type: ignore[operator]
    raise UserError(f"{name}: the two splits hold different kinds of items", "texts, images or columns in both")


def fraction(text: str, name: str) -> float:
    """0.2 from "0.2"."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise UserError(
            f"dataset.test={text} is not a share between 0 and 1",
            f"dataset.test=0.3, say: {name} has no other test split",
        )
    return share


def cut(labels: np.ndarray, marks: Sequence[bytes], share: float) -> np.ndarray:
    """(t,) int64 rows, about `share` of each class: stratified, fixed (no seed), copies of an item on the same side.

    A class of one item stays in train; any other has at least one item on each side.
    """
    rng = np.random.default_rng(0)
    groups: dict[bytes, list[int]] = {}
    for row, mark in enumerate(marks):
        groups.setdefault(mark, []).append(row)
    held: list[int] = []
    leaders = np.array([rows[0] for rows in groups.values()])
    together = {rows[0]: rows for rows in groups.values()}
    for c in range(int(labels.max()) + 1):
        mine = leaders[labels[leaders] == c]
        size = sum(len(together[row]) for row in mine)
        wanted = max(1, round(share * size))
        taken = 0
        for row in rng.permutation(mine)[1:]:  # the first stays in train whatever happens
            if taken >= wanted:
                break
            held += together[int(row)]
            taken += len(together[int(row)])
    return np.sort(np.array(held, np.int64))
