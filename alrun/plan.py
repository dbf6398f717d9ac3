"""`--dry-run`: what a run would do, and what it would take."""

from collections.abc import Iterator, Sequence
from typing import Any

from . import registry
from .data.source import Source
from .encoders import cache
from .encoders.encoder import Encoder
from .prepare import Prepared
from .rundir import RunDir
from .types import Size


def plans(cells: Sequence[Prepared]) -> Iterator[dict[str, Any]]:
    """For each cell of a sweep its cycles, labels, work and estimates, as lines of name -> text."""
    widths: dict[str, tuple[str, int]] = {}  # an encoder that must be fitted to say its width is asked once
    for cell in cells:
        key = cache.key(cell.source, cell.encoder)
        if key not in widths:
            widths[key] = _features(cell.source, cell.encoder)
        yield _plan(cell, *widths[key])


def _plan(prepared: Prepared, cached: str, width: int) -> dict[str, Any]:
    run, dataset, source = prepared.run, prepared.dataset, prepared.source
    batches, start = prepared.batches, len(prepared.start)
    committed = len(RunDir(prepared.folder).metrics())
    size = Size(len(dataset.pool), start + sum(batches), max(batches), dataset.n_classes, width, width)
    memory = registry.memory(run.strategy, size, run.plugins)
    needed = getattr(registry.find("model", run.model, run.plugins), "memory", None)
    training = needed(source.kind, run.model) if needed else 0
    matrix = len(source) * width * 4
    signals = len(dataset.pool) * (width + dataset.n_classes) * 4
    folder = (len(batches) + 1) * (len(dataset.pool) + 2 * len(dataset.test)) + 2_000_000  # the figures are most of it
    names = [run.dataset.name, run.encoder["name"], run.model["name"], run.strategy["name"], run.budget.name]
    return {
        "run": " · ".join([*names, f"seed {run.seed}"]),
        "folder": f"{prepared.folder}" + (f"   ({committed} cycles committed)" if committed else ""),
        "items": f"pool {len(dataset.pool):,} · target {len(dataset.target):,} · test {len(dataset.test):,} · "
        f"{dataset.n_classes} classes",
        "cycles": f"{len(batches) + 1}: labels {' → '.join(map(str, _points(start, batches)))}",
        "labels": f"{sum(batches):,} to buy + {start:,} at the start + {len(dataset.target):,} in the target split",
        "features": f"{len(source):,} x {width} float32, {cached}",
        "memory": f"features {_bytes(matrix)} + signals {_bytes(signals)} + "
        + (f"model {_bytes(training)} + " if training else "")
        + (f"strategy {_bytes(memory)}" if memory is not None else "strategy: it does not say"),
        "disk": f"features {_bytes(matrix)} in the cache, run folder about {_bytes(folder)}",
    }


def _features(source: Source, encoder: Encoder) -> tuple[str, int]:
    """Whether the features are cached, and how wide they are."""
    width = cache.width(source, encoder)
    return ("cached", width) if width is not None else ("to be computed", encoder.start("cpu").width)


def _points(start: int, batches: list[int]) -> list[int]:
    points = [start]
    for size in batches:
        points.append(points[-1] + size)
    return points if len(points) <= 12 else [*points[:6], *points[-3:]]


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
