"""What each run bought when, and what its models said of every item on the map."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..collect import Entry
from ..collect.entries import DAMAGE
from ..rundir import Bought
from .packing import Room, deflate, pack
from .scenes import Scene, caption

SMALLEST = 2_000  # bytes below which no run's predictions fit
SAID = "what the models said of each item"


def track(scene: Scene, entry: Entry, batches: Sequence[Bought]) -> dict[str, Any]:
    """The batches of one run by position in the scene, their scores, and the answers that are not the true label."""
    places: list[list[int]] = []
    scores: list[list[float | None]] = []
    oracle: dict[int, int] = {}
    for batch in batches:
        at = np.searchsorted(scene.row, batch.rows)
        on = [rank for rank, spot in enumerate(at) if spot < len(scene.row) and scene.row[spot] == batch.rows[rank]]
        places.append(at[on].tolist())
        oracle |= {int(at[rank]): batch.labels[rank] for rank in on if batch.labels[rank] != scene.label[at[rank]]}
        scores.append([_short(batch.scores[rank]) for rank in on])
    initial = np.flatnonzero(np.isin(scene.row, entry.files.items["initial"]))
    return {"initial": initial.tolist(), "batches": places, "oracle": oracle, "scores": scores}


def predictions(scene: Scene, entry: Entry) -> np.ndarray | None:
    """(cycles, m) uint16 predicted class of every item shown; None where a file cannot be read."""
    try:
        pool = entry.files.items["pool"]
        order = np.argsort(pool)
        at = np.searchsorted(pool, scene.row, sorter=order).clip(max=len(pool) - 1)
        if not (pool[order[at]] == scene.row).all():
            return None
        names = [f"predictions/cycle_{cycle:03d}.npz" for cycle in range(len(entry.files.rows))]
        found = (entry.files.arrays(name, "pool_prediction")["pool_prediction"] for name in names)
        return np.stack([said[order[at]] for said in found]).astype("<u2")
    except DAMAGE:
        return None


def _short(score: float | None) -> float | None:
    return None if score is None or not np.isfinite(score) else float(f"{score:.4g}")


def told(
    found: Sequence[Scene], room: Room, settings: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Scenes and tracks as the page reads them: what was bought, then what the models said, first seeds first.

    And what cannot be read.
    """
    shown: list[dict[str, Any]] = []
    tracks: list[dict[str, Any]] = []
    made: list[tuple[Scene, Entry]] = []
    lacking = Counter[str]()
    unread = 0
    for scene in sorted(found, key=lambda scene: scene.shown[0].seed):
        packed = scene.packed()
        if not room.take(len(packed)):
            lacking["the selection process"] += len(scene.shown)
            continue
        for entry, batches in zip(scene.shown, scene.batches, strict=True):
            content = pack(track(scene, entry, batches))
            if not room.take(len(content)):
                lacking["the selection process"] += 1
                continue
            about = {"setting": settings.index(entry.setting), "label": entry.strategy, "seed": entry.seed}
            counts = [int(row["n_labelled"]) for row in entry.files.rows]
            buying = max(1, sum(1 for row in entry.files.rows if row.get("n_acquired")))
            tracks.append(about | {"scene": len(shown), "cycles": buying, "labels": counts, "packed": content})
            made.append((scene, entry))
        shown.append({"dataset": scene.dataset, "packed": packed, "caption": caption(scene)})
    for one, (scene, entry) in zip(tracks, made, strict=True):
        one["predictions"] = None
        if room.left <= SMALLEST:
            lacking[SAID] += 1
        elif (said := predictions(scene, entry)) is None:
            unread += 1
        elif room.take(len(packed := deflate(said.tobytes()))):
            one["predictions"] = packed
        else:
            lacking[SAID] += 1
    room.omitted += [f"{what}, of {count} runs" for what, count in lacking.items()]
    return shown, tracks, [f"{SAID} cannot be read in {unread} runs"] if unread else []
