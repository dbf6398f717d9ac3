"""Where the items lie: one map for all strategies of a data set, encoder and seed."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..collect import Entry
from ..collect.entries import DAMAGE
from ..rundir import Bought, RunDir
from .packing import pack

TRACKS = 250  # runs on the maps: enough to browse, and read in seconds
GRID = 10_000  # coordinates are whole numbers below this: finer than a pixel
APART = 1e-3  # two runs share a map if no common item is farther apart than this, in its own unit


@dataclass(frozen=True)
class Scene:
    """The items of one data set, encoder and seed on their map; `shown` runs share them."""

    dataset: str  # key of the data: where its items are looked up
    row: np.ndarray  # (m,) source rows, ascending
    xy: np.ndarray  # (m, 2)
    label: np.ndarray  # (m,) true classes
    placed: int  # how many are not part of the t-SNE fit
    pool: int  # size of the pool they are a part of
    shown: list[Entry]
    batches: list[list[Bought]]  # what each of them bought, cycle by cycle

    def packed(self) -> str:
        """Rows, whole-number coordinates and labels."""
        low, high = self.xy.min(axis=0), self.xy.max(axis=0)
        spot = np.rint((self.xy - low) / np.maximum(high - low, 1e-9) * GRID).astype(int)  # (m, 2)
        return pack(
            {"row": self.row.tolist(), "x": spot[:, 0].tolist(), "y": spot[:, 1].tolist(), "label": self.label.tolist()}
        )


def chosen(lines: Sequence[Sequence[Entry]]) -> list[Entry]:
    """The runs to show: of each line the first seeds, as many as TRACKS allows."""
    seeds = max(1, TRACKS // max(1, len(lines)))
    return [entry for line in lines for entry in line[:seeds]]


def data_key(entry: Entry) -> str:
    """What two runs on the same items have in common."""
    return f"{entry.files.setting[0]} {entry.files.facts.get('fingerprint')}"


def scenes(entries: Sequence[Entry]) -> tuple[list[Scene], list[str]]:
    """One for each data set, encoder and seed; and what was wrong with the maps of some runs."""
    grouped: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        config = entry.files.config
        grouped[json.dumps([data_key(entry), config["dataset"], config["encoder"], entry.seed], default=str)].append(
            entry
        )
    found, trouble = [], Counter[str]()
    for members in grouped.values():
        maps: list[dict[str, np.ndarray]] = []
        kept: list[Entry] = []
        for entry in members:
            try:
                mine = entry.files.arrays("map.npz", "index", "xy", "label", "placed")
                _demand_sound(mine)
                entry.files.items, entry.files.classes  # noqa: B018  (both are needed later)
            except DAMAGE:
                trouble["have no map or items that can be read"] += 1
                continue
            if maps and not _same(maps[0], mine):
                trouble["lie on a map of their own that differs from the others'"] += 1
                continue
            maps.append(mine)
            kept.append(entry)
        if maps:
            found.append(_scene(maps, kept))
    return found, [f"{count} runs {reason}: they are not in the selection process" for reason, count in trouble.items()]


def _demand_sound(mine: Mapping[str, np.ndarray]) -> None:
    size = len(mine["index"])
    shapes = [mine[key].shape for key in ("xy", "label", "placed")]
    if not size or shapes != [(size, 2), (size,), (size,)] or not np.isfinite(mine["xy"]).all():
        raise ValueError(f"not a map: {size} items, {shapes}")


def _same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    _, mine, theirs = np.intersect1d(one["index"], other["index"], return_indices=True)
    return bool(np.allclose(one["xy"][mine], other["xy"][theirs], atol=APART))


def _scene(maps: Sequence[Mapping[str, np.ndarray]], kept: list[Entry]) -> Scene:
    index = np.concatenate([mine["index"] for mine in maps])
    row, first = np.unique(index, return_index=True)
    xy, label, placed = (np.concatenate([mine[key] for mine in maps])[first] for key in ("xy", "label", "placed"))
    pool = len(kept[0].files.items["pool"])
    batches = [RunDir(entry.folder).selections()[: len(entry.files.rows)] for entry in kept]
    return Scene(data_key(kept[0]), row, xy, label, int(placed.sum()), pool, kept, batches)


def caption(scene: Scene) -> str:
    """What is drawn, and where it comes from."""
    count = len(scene.row)
    part = f"{count:,} of the {scene.pool:,} pool items" if count < scene.pool else f"all {count:,} pool items"
    placed = (
        f"; {scene.placed:,} of them are not in the t-SNE fit and stand among their nearest neighbours"
        if scene.placed
        else ""
    )
    return (
        "One t-SNE of the features for all strategies, cycles and seeds (no unit; no strategy sees it). "
        f"Shown: {part}{placed}."
    )
