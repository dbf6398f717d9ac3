"""One two-dimensional map of a dataset's features, shared by all cycles, strategies and seeds.

t-SNE (van der Maaten and Hinton 2008; Barnes-Hut, van der Maaten 2014) of the first 50 principal components of at most
2,000 items. Items outside it are placed among their neighbours. The map is for looking: no strategy sees it.
"""

import fcntl
import io
import zlib
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from .errors import UserError

# A map is only comparable with itself: these are constants, not options, and part of the cache key.
VERSION, ITEMS, COMPONENTS, PERPLEXITY, ITERATIONS, SEED = 1, 2000, 50, 30.0, 1000, 0
NEIGHBOURS = 5
BLOCK = 256  # rows placed at a time: with 20 candidates of 3,072 features each, in float64, 126 MB


class Map(NamedTuple):
    """Where the subsample lies."""

    rows: np.ndarray  # (k,) int64 source rows, ascending
    xy: np.ndarray  # (k, 2) float32, no unit


def subsample(labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Positions (k,), ascending, of a stratified sample: shares as in `labels`, one of each class if it fits."""
    n = len(labels)
    if n <= most:
        return np.arange(n)
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * most / n
    share = np.floor(exact).astype(int)
    if len(classes) <= most:
        share = np.maximum(share, 1)
    # Largest remainders fill up; raised small classes are paid for by the largest ones.
    for c in np.argsort(share - exact, kind="stable")[: max(0, most - share.sum())]:
        share[c] += 1
    while share.sum() > most:
        share[np.argmax(share)] -= 1
    chosen = [
        rng.choice(np.flatnonzero(labels == c), size=k, replace=False) for c, k in zip(classes, share, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def fit_map(features: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Map:
    """The map of a stratified subsample of the source rows `rows` (the train rows of a dataset).

    `features` (n, F) and `labels` (n,) speak source rows. Same input, same bytes, whatever the number of threads.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(SEED)
    rows = np.sort(np.asarray(rows, dtype=np.int64))
    index = rows[subsample(np.asarray(labels)[rows], ITEMS, rng)]  # (k,)
    x = np.asarray(features[index], dtype=np.float64)  # (k, F)
    x = x - x.mean(axis=0)
    if len(index) < 4 or not x.any():
        # Too few items, or all the same: t-SNE is not defined, a row of points shows all there is.
        line = np.linspace(-1.0, 1.0, len(index), dtype=np.float32)
        return Map(index, np.stack([line, np.zeros_like(line)], axis=1))
    with threadpool_limits(1):  # the order of parallel sums would move points
        width = min(COMPONENTS, *x.shape)
        x = PCA(width, svd_solver="randomized", random_state=SEED).fit_transform(x)  # (k, width)
        tsne = TSNE(
            perplexity=min(PERPLEXITY, (len(index) - 1) / 3),
            max_iter=ITERATIONS,
            init="pca" if width >= 2 else "random",
            random_state=SEED,
            n_jobs=1,
        )
        xy = tsne.fit_transform(x.astype(np.float32))
    return Map(index, np.ascontiguousarray(xy, dtype=np.float32))


def place(plan: Map, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n, 2) float32 coordinates of source rows that are not in the map, each by itself.

    The mean of the five nearest mapped items in feature space, weighted by inverse Euclidean distance; an item equal to
    mapped ones lies on them.
    """
    mapped = np.asarray(features[plan.rows], dtype=np.float64)  # (k, F)
    centre = mapped.mean(axis=0)  # distances of nearly equal items are differences: small numbers keep their digits
    shifted = mapped - centre
    squares = (shifted**2).sum(axis=1)  # (k,)
    count = min(4 * NEIGHBOURS, len(mapped))
    placed = np.empty((len(rows), 2), dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        x = np.asarray(features[rows[start : start + BLOCK]], dtype=np.float64)  # (b, F)
        # Rounding in the product may swap equal neighbours; exact distances of a few more settle them, by source row.
        near = np.sort(
            np.argpartition(squares - 2 * (x - centre) @ shifted.T, count - 1, axis=1)[:, :count], axis=1
        )  # (b, count)
        distance = np.linalg.norm(x[:, None] - mapped[near], axis=2)  # (b, count)
        nearest = np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]  # (b, 5)
        near, distance = np.take_along_axis(near, nearest, axis=1), np.take_along_axis(distance, nearest, axis=1)
        same = distance == 0
        weight = np.where(same.any(axis=1, keepdims=True), same, 1 / np.where(same, 1, distance))
        weight /= weight.sum(axis=1, keepdims=True)
        placed[start : start + BLOCK] = (weight[:, :, None] * plan.xy[near]).sum(axis=1)
    return placed


def run_map(
    plan: Map, features: np.ndarray, labels: np.ndarray, pool: np.ndarray, bought: np.ndarray
) -> dict[str, np.ndarray]:
    """What map.npz of one run holds: its pool's part of the map, and every bought item.

    `pool` and `bought` are source rows, `labels` the source's true ones. Where the run's pool is a part of the train
    rows, items of it are placed until as many are shown as a whole pool would show.
    """
    pool, bought = np.asarray(pool, dtype=np.int64), np.asarray(bought, dtype=np.int64)
    fitted = np.isin(plan.rows, pool)
    rest = pool[~np.isin(pool, plan.rows)]  # the pool's order is a seeded shuffle: its beginning is a random sample
    filled = rest[: max(0, min(ITEMS, len(pool)) - fitted.sum())]
    placed = np.union1d(filled, bought[~np.isin(bought, plan.rows)])
    index = np.concatenate([plan.rows[fitted], placed])  # (m,)
    order = np.argsort(index)
    xy = np.concatenate([plan.xy[fitted], place(plan, features, placed)])
    flags = np.arange(len(index)) >= fitted.sum()
    return {
        "index": index[order],
        "xy": xy[order].astype(np.float32),
        "label": np.asarray(labels)[index[order]].astype(np.int64),
        "placed": flags[order],
    }


def cached_map(folder: Path, key: str, features: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Map:
    """`fit_map`, computed once for all runs that share `key`, the key of the feature cache.

    `folder` is the cache's folder of maps. Others who want the same map at once wait for the first. Raises UserError if
    the cached file is damaged.
    """
    rows = np.sort(np.asarray(rows, dtype=np.int64))
    digest = sha256(repr((VERSION, ITEMS, COMPONENTS, PERPLEXITY, ITERATIONS, SEED, key)).encode())
    digest.update(rows.tobytes() + np.asarray(labels, dtype=np.int64)[rows].tobytes())
    path = folder / f"{digest.hexdigest()[:32]}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return _read(path)
        plan = fit_map(features, labels, rows)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, rows=plan.rows, xy=plan.xy)
        partial = path.with_suffix(".partial")
        try:
            partial.write_bytes(buffer.getvalue())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
    return plan


def _read(path: Path) -> Map:
    try:
        with np.load(path, allow_pickle=False) as found:
            plan = Map(found["rows"], found["xy"])
        if plan.xy.shape != (len(plan.rows), 2):
            raise ValueError(f"{len(plan.rows)} items, coordinates {plan.xy.shape}")
    except (ValueError, KeyError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(f"the cached map {path} is damaged: {error}", "delete it: it is computed anew") from error
    return plan
