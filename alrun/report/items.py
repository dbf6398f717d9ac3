"""The items themselves, looked up again in the data set a run was made on: texts cut short, pictures as thumbnails."""

import base64
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..collect import Entry
from ..collect.entries import DAMAGE
from ..data import load
from ..data.load import described
from ..data.source import Source
from .packing import Room, pack

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
LETTERS = 300
SIDE = 64  # pixels of a thumbnail
COLUMNS = 40  # a table with more columns than this is a matrix of features, which tells a reader nothing


class Missing(Exception):
    """Why the items of a data set cannot be shown."""


def look_up(entry: Entry) -> Source:
    """The data set of a run, if it can be loaded here and is still the same. Nothing is downloaded."""
    config = entry.files.config
    if config.get("plugins"):
        raise Missing("the data set may come from a plugin, which a report does not run")
    try:
        with _offline():
            source = load(described(config["dataset"]))
    except (*DAMAGE, ImportError, MemoryError) as error:
        said = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        raise Missing(f"the data set cannot be loaded here: {said}") from error
    wanted = entry.files.facts.get("fingerprint")
    if source.fingerprint != wanted:
        raise Missing(
            f"the data set has changed since the run: fingerprint {source.fingerprint[:8]}, was {str(wanted)[:8]}"
        )
    if source.kind == "table" and source.items.shape[1] > COLUMNS:  # type: ignore[union-attr]
        raise Missing(f"an item is a row of {source.items.shape[1]:,} numbers")  # type: ignore[union-attr]
    return source


@contextmanager
def _offline() -> Iterator[None]:
    """What the hub's packages do in here comes from their cache."""
    before = {key: os.environ.get(key) for key in OFFLINE}
    os.environ.update(dict.fromkeys(OFFLINE, "1"))
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def shown(source: Source, rows: Sequence[int]) -> dict[str, str]:
    """Row -> a short text, or a thumbnail as a data URI. What cannot be read, or is no row, is left out."""
    found = {}
    for row in rows:
        if not 0 <= row < len(source.items):
            continue
        try:
            found[str(row)] = thumbnail(np.asarray(source.items[row])) if source.kind == "image" else text(source, row)
        except DAMAGE:
            continue
    return found


def text(source: Source, row: int) -> str:
    """At most LETTERS letters of a text, of both texts of a pair, or name and value of each column."""
    item: Any = source.items[row]
    if source.kind == "table":
        names = source.columns or [f"column {at}" for at in range(len(item))]
        return "\n".join(f"{name} = {value:.4g}" for name, value in zip(names, item, strict=True))
    if source.kind == "instruction":
        item = item.text
    parts = [item] if isinstance(item, str) else list(item)
    most = LETTERS // len(parts)
    return "\n\n".join(part if len(part) <= most else f"{part[: most - 1].rstrip()}…" for part in parts)


def thumbnail(pixels: np.ndarray) -> str:
    """A picture of at most SIDE pixels as a data URI: PNG where it is small, else JPEG."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    small = max(picture.size) <= SIDE // 2
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    if small:
        picture.save(buffer, "PNG", optimize=True)
    else:
        picture.save(buffer, "JPEG", quality=72)
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def told(
    wanted: Mapping[str, tuple[Entry, np.ndarray, np.ndarray]], room: Room, *, include: bool
) -> tuple[list[dict[str, Any]], dict[str, int], list[str]]:
    """Packs of items; where each data set's pack is; and why items are absent.

    `wanted` has a run for each data set, the bought rows, and the other rows on its maps. Bought items come first, then
    as many of the others as there is room for, evenly spread.
    """
    packs: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    notes: list[str] = []
    for at, (key, (entry, bought, others)) in enumerate(wanted.items()):
        share = room.left // (len(wanted) - at)
        base: dict[str, Any] = {"kind": "text", "classes": entry.files.classes, "entries": {}, "missing": "left out"}
        try:
            if not include:
                raise Missing("items were left out (--no-items)")
            source = look_up(entry)
            entries = shown(source, [*bought.tolist(), *others.tolist()])
            kind = "image" if source.kind == "image" else "text"
            packed, held = _fitted(entries, base | {"kind": kind}, bought, others, share)
            if held < len(entries):
                part = f"{held:,} of {len(entries):,} items of {entry.files.setting[0]}"
                room.omitted.append(f"all but {part} (the others show their row)")
            if lost := len(bought) + len(others) - len(entries):
                notes.append(f"{entry.files.setting[0]}: {lost:,} rows have no item that can be shown")
        except Missing as error:
            notes.append(f"{entry.files.setting[0]}: rows are shown instead of items: {error}")
            packed = pack(base | {"missing": str(error)})
        room.take(min(room.left, len(packed)))
        places[key] = len(packs)
        packs.append({"packed": packed})
    return packs, places, notes


def _fitted(
    entries: Mapping[str, str], base: dict[str, Any], bought: np.ndarray, others: np.ndarray, most: int
) -> tuple[str, int]:
    """The largest pack below `most` bytes: halving, first of what was not bought; and how many items it holds."""
    count, fill = len(bought), len(others)
    while True:
        rows = [*_spread(bought, count), *_spread(others, fill)]
        held = {row: entries[row] for row in map(str, rows) if row in entries}
        packed = pack(base | {"entries": held, "missing": "left out to keep the page small"})
        if len(packed) <= most or not held:
            return packed, len(held)
        count, fill = (count, int(fill * 0.7)) if fill > 8 else (count // 2, 0)


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """So many of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)] if count else rows[:0]
