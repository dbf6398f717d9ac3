"""The selection process: where the items lie, what each run bought when, and what its models said of them."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..collect import Entry
from ..collect.entries import DAMAGE
from ..rundir import RunDir
from .packing import Room, pack

TRACKS = 400  # runs on the maps: enough to browse, and read in seconds
GRID = 10_000  # coordinates are whole numbers below this: finer than a pixel
NEVER, INITIAL = 10**9, -1  # as in process.js
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
                if (
                    not len(mine["index"])
                    or not np.isfinite(mine["xy"]).all()
                    or mine["xy"].shape != (len(mine["index"]), 2)
                ):
                    raise ValueError("no map")
                if maps and not _same(maps[0], mine):
                    trouble["lie on a map of their own that differs from the others'"] += 1
                    continue
            except DAMAGE:
                trouble["have no map that can be read"] += 1
                continue
            maps.append(mine)
            kept.append(entry)
        if maps:
            found.append(_scene(maps, kept))
    return found, [f"{count} runs {reason}: they are not in the selection process" for reason, count in trouble.items()]


def _same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    _, mine, theirs = np.intersect1d(one["index"], other["index"], return_indices=True)
    return bool(np.allclose(one["xy"][mine], other["xy"][theirs], atol=APART))


def _scene(maps: Sequence[Mapping[str, np.ndarray]], kept: list[Entry]) -> Scene:
    index = np.concatenate([mine["index"] for mine in maps])
    row, first = np.unique(index, return_index=True)
    xy, label, placed = (np.concatenate([mine[key] for mine in maps])[first] for key in ("xy", "label", "placed"))
    pool = len(kept[0].files.items["pool"])
    return Scene(data_key(kept[0]), row, xy, label, int(placed.sum()), pool, kept)


def track(scene: Scene, entry: Entry) -> dict[str, Any]:
    """What one run bought when, by position in the scene, and what its models said of every item shown."""
    batches = RunDir(entry.folder).selections()[: len(entry.files.rows)]
    bought = np.full(len(scene.row), NEVER)
    initial = entry.files.items["initial"]
    bought[np.isin(scene.row, initial)] = INITIAL
    places: list[list[int]] = []
    scores: list[list[float | None]] = []
    oracle: dict[int, int] = {}
    for cycle, batch in enumerate(batches):
        at = np.searchsorted(scene.row, batch.rows)
        on = [rank for rank, spot in enumerate(at) if spot < len(scene.row) and scene.row[spot] == batch.rows[rank]]
        bought[at[on]] = cycle
        places.append(at[on].tolist())
        oracle |= {int(at[rank]): batch.labels[rank] for rank in on if batch.labels[rank] != scene.label[at[rank]]}
        scores.append([_short(batch.scores[rank]) for rank in on])
    return {"bought": bought.tolist(), "batches": places, "oracle": oracle, "scores": scores}


def predictions(scene: Scene, entry: Entry) -> list[list[int]] | None:
    """(cycles, m) predicted class of every item shown; None where a file cannot be read."""
    try:
        pool = entry.files.items["pool"]
        order = np.argsort(pool)
        at = np.searchsorted(pool, scene.row, sorter=order).clip(max=len(pool) - 1)
        if not (pool[order[at]] == scene.row).all():
            return None
        name = "predictions/cycle_{:03d}.npz"
        found = (
            entry.files.arrays(name.format(c), "pool_prediction")["pool_prediction"]
            for c in range(len(entry.files.rows))
        )
        return [said[order[at]].tolist() for said in found]
    except DAMAGE:
        return None


def _short(score: float | None) -> float | None:
    return None if score is None else float(f"{score:.4g}")


def told(
    found: Sequence[Scene], room: Room, settings: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Scenes and tracks as the page reads them, seed by seed until the room is used up."""
    shown: list[dict[str, Any]] = []
    tracks: list[dict[str, Any]] = []
    without, absent = 0, 0
    for scene in sorted(found, key=lambda scene: min(entry.seed for entry in scene.shown)):
        packed, made = scene.packed(), 0
        if not room.take(len(packed)):
            absent += len(scene.shown)
            continue
        for entry in scene.shown:
            content = track(scene, entry)
            full = pack(content | {"predictions": predictions(scene, entry)})
            if not room.take(len(full)):
                full = pack(content | {"predictions": None})
                without += 1
                if not room.take(len(full)):
                    absent += 1
                    continue
            counts = [int(row["n_labelled"]) for row in entry.files.rows]
            buying = max(1, sum(1 for row in entry.files.rows if row.get("n_acquired")))
            tracks.append(
                {
                    "setting": settings.index(entry.setting), "label": entry.strategy, "seed": entry.seed,
                    "scene": len(shown), "cycles": buying, "labels": counts, "packed": full,
                }
            )  # fmt: skip
            made += 1
        if made:
            shown.append({"dataset": scene.dataset, "packed": packed, "caption": _caption(scene)})
    if without:
        room.omitted.append(f"what the models said of each item, for {without} runs")
    if absent:
        room.omitted.append(f"the selection process of {absent} runs")
    return shown, tracks


def _caption(scene: Scene) -> str:
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
