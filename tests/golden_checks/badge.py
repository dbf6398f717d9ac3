"""BADGE: distances, the next pick's distribution, inclusion probabilities."""

import numpy as np
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.numerics.gradients import residuals, squared_norms, squared_to_nearest

from . import check
from .golden_file import Golden
from .ties import TIED, kinds

SEEDS = 2000
ERRORS = 4.5  # standard errors that a frequency may be off
SAME = 1e-10  # relative distance of two gradients that are one


@check("badge")
def badge(golden: Golden) -> None:
    residual = residuals(torch.from_numpy(golden["probs"]).double())
    golden.for_information("batch_size")
    if "residual" in golden:
        golden.close("residual", residual)
    if "embeddings" not in golden:
        return
    embeddings = torch.from_numpy(golden["embeddings"]).double()
    squared = squared_norms(residual, embeddings)
    gradients = (residual[:, :, None] * embeddings[:, None]).flatten(1).numpy()  # (n, C D)
    if "norm_sq" in golden:
        golden.close("norm_sq", squared)
    if "grad_embedding" in golden:
        stored = golden["grad_embedding"]
        opposite = stored.shape == gradients.shape and np.vdot(gradients, stored) < 0
        golden.close("grad_embedding", -gradients if opposite else gradients)
    if "first_pick" in golden:
        _starts_there(golden, squared.numpy())
    if "given_picks" in golden:
        _distances(golden, residual, embeddings)
    if "n_distinct" in golden:
        _short_of_gradients(golden, gradients)
    _frequencies(golden)


@check("badge_freq")
def badge_freq(golden: Golden) -> None:
    badge(golden)


def _batches(golden: Golden, n: int, seeds: int) -> np.ndarray:
    """(seeds, n) batches as a user gets them."""
    embeddings, probs = golden["embeddings"], golden["probs"]
    choose = registry.build("strategy", {"name": "badge"})
    signals = ArraySignals(embeddings=embeddings, probs=probs)
    batches = [choose(view(signals, len(probs), seed=seed), n).indices.numpy() for seed in range(seeds)]
    assert all(len(set(batch)) == n for batch in batches)
    return np.array(batches)


def _starts_there(golden: Golden, squared: np.ndarray) -> None:
    """The file's first pick is ours or its twin, or as long up to rounding; of equal rows it is the lowest."""
    pick, ours, twin = golden.count("first_pick"), _batches(golden, 1, 1)[0, 0], golden.twins(len(squared))
    alike = kinds(golden["embeddings"], golden["probs"])
    lowest = "canonical_id" in golden or pick == alike[pick]
    tied = bool(np.isclose(squared[pick], squared[ours], rtol=TIED, atol=0)) and lowest
    golden.satisfied("first_pick", pick >= 0 and (twin[ours] == twin[pick] or tied), f"we picked {ours}")


def _distances(golden: Golden, residual: torch.Tensor, embeddings: torch.Tensor) -> None:
    """Distances to the nearest of the first t + 1 given picks, and the distribution of the next pick."""
    picks = golden["given_picks"].tolist()
    steps = [squared_to_nearest(residual, embeddings, picks[: t + 1], block=16).numpy() for t in range(len(picks))]
    nearest = np.array(steps).reshape(len(picks), len(residual))
    if "min_sq_dist" in golden:
        golden.close("min_sq_dist", nearest)
    if "sampling_prob" in golden:
        total = nearest.sum(1, keepdims=True)
        stored = golden["sampling_prob"]
        golden.satisfied("sampling_prob", stored.shape == nearest.shape, f"{stored.shape}, not {nearest.shape}")
        # where all distances are 0 the next pick is a uniform draw and has no such distribution
        golden.close("sampling_prob", np.where(total > 0, nearest / np.where(total > 0, total, 1), stored))


def _short_of_gradients(golden: Golden, gradients: np.ndarray) -> None:
    """Every distinct gradient is in the batch before any twin, and the rest of the batch is uniform."""
    kind = _kinds(gradients)
    distinct, zero = len(set(kind)), bool((gradients == 0).all(1).any())
    said = golden.count("n_distinct")  # some do not count a gradient of zero
    golden.satisfied("n_distinct", said == distinct or (zero and said == distinct - 1), f"{distinct} gradients differ")
    if "batch_size" not in golden:
        return
    n = golden.count("batch_size")
    drawn = min(distinct, n)
    batches = _batches(golden, n, SEEDS)
    found = min(len(set(kind[picks[:drawn]])) for picks in batches)
    golden.satisfied("n_distinct", found == drawn, f"{found} kinds of gradient in the first {drawn} picks")
    share = np.full((SEEDS, len(gradients)), (n - drawn) / max(1, len(gradients) - drawn))
    np.put_along_axis(share, batches[:, :drawn], 0, axis=1)  # (seeds, n) of being drawn to fill the batch
    filled = np.bincount(batches[:, drawn:].ravel(), minlength=len(gradients))
    off = np.abs(filled - share.sum(0)) - ERRORS * np.sqrt((share * (1 - share)).sum(0)) - 1e-6
    golden.satisfied("n_distinct", bool((off <= 0).all()), "the rest of the batch is not uniform")


def _kinds(gradients: np.ndarray) -> np.ndarray:
    """(n,) the first gradient that is the same up to rounding."""
    lengths = np.linalg.norm(gradients, axis=1)
    pairs = zip(gradients, lengths, strict=True)
    apart = (np.linalg.norm(gradients - g, axis=1) > SAME * (lengths + length) for g, length in pairs)
    return np.array([int(np.argmin(far)) for far in apart])


def _frequencies(golden: Golden) -> None:
    """Inclusion and second-pick frequencies over seeds, for the keys that the file has."""
    golden.for_information("inclusion_official_2000", "second_pick_official_2000", "n_seeds")
    keys, pool = [key for key in ("inclusion_exact", "second_pick_prob_exact") if key in golden], len(golden["probs"])
    if not keys:
        return
    n = golden.count("batch_size") if "batch_size" in golden else 2
    batches = _batches(golden, max(2, n), SEEDS)  # the first picks of a batch are those of a smaller one
    if "inclusion_exact" in golden and "batch_size" in golden:
        _within(golden, "inclusion_exact", np.bincount(batches[:, :n].ravel(), minlength=pool) / SEEDS)
    second = golden.get("second_pick_prob_exact")
    if second is not None and (n > 1 or second.any()):  # a batch of 1 has none
        _within(golden, "second_pick_prob_exact", np.bincount(batches[:, 1], minlength=pool) / SEEDS)


def _within(golden: Golden, key: str, frequency: np.ndarray) -> None:
    exact = golden[key]
    golden.satisfied(key, exact.shape == frequency.shape, f"{exact.shape}, not {frequency.shape}")
    error = ERRORS * np.sqrt(np.clip(exact * (1 - exact), 0, None) / SEEDS)
    worst = np.abs(frequency - exact) - error - 1e-9
    golden.satisfied(key, bool((worst <= 0).all()), f"off by {worst.max():.4f} more than {ERRORS} standard errors")
