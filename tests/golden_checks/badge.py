"""BADGE: distances, the next pick's distribution, inclusion probabilities."""

import numpy as np
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.numerics.gradients import residuals, squared_norms, squared_to_nearest

from . import check
from .golden_file import Golden

SEEDS = 2000
SHORT_OF_GRADIENTS_SEEDS = 50


def _batches(golden: Golden, n: int, seeds: int) -> np.ndarray:
    """(seeds, n) batches as a user gets them."""
    embeddings, probs = golden["embeddings"], golden["probs"]
    choose = registry.build("strategy", {"name": "badge"})
    signals = ArraySignals(embeddings=embeddings, probs=probs)
    batches = [choose(view(signals, len(probs), seed=seed), n).indices.numpy() for seed in range(seeds)]
    assert all(len(set(batch)) == n for batch in batches)
    return np.array(batches)


def _within(golden: Golden, key: str, frequency: np.ndarray) -> None:
    exact = golden[key]
    error = 4.5 * np.sqrt(np.clip(exact * (1 - exact), 0, None) / SEEDS)
    worst = np.abs(frequency - exact) - error - 1e-9
    golden.satisfied(key, bool((worst <= 0).all()), f"off by {worst.max():.4f} more than 4.5 standard errors")


def _canonical(golden: Golden, size: int) -> np.ndarray:
    return golden["canonical_id"] if "canonical_id" in golden else np.arange(size)


@check("badge")
def badge(golden: Golden) -> None:
    embeddings, probs = torch.from_numpy(golden["embeddings"]).double(), torch.from_numpy(golden["probs"]).double()
    residual = residuals(probs)
    squared = squared_norms(residual, embeddings)
    twin = _canonical(golden, len(probs))
    if "residual" in golden:
        golden.close("residual", residual)
    if "norm_sq" in golden:
        golden.close("norm_sq", squared)
    if "grad_embedding" in golden:
        expected = golden["grad_embedding"]
        ours = (residual[:, :, None] * embeddings[:, None]).flatten(1)  # (n, C D)
        golden.close("grad_embedding", ours if np.vdot(ours, expected) >= 0 else -ours)
    if "first_pick" in golden:
        first = _batches(golden, 1, 1)[0, 0]
        golden.satisfied("first_pick", twin[first] == twin[golden.count("first_pick")], f"we picked {first}")
    if "given_picks" in golden:
        picks = golden["given_picks"]
        for t in range(len(picks)):
            nearest = squared_to_nearest(residual, embeddings, picks[: t + 1].tolist(), block=16)
            if "min_sq_dist" in golden:
                np.testing.assert_allclose(nearest, golden["min_sq_dist"][t], rtol=1e-9, atol=1e-7)
                golden.compared.add("min_sq_dist")
            if "sampling_prob" in golden:
                np.testing.assert_allclose(nearest / nearest.sum(), golden["sampling_prob"][t], rtol=1e-9, atol=1e-7)
                golden.compared.add("sampling_prob")
    if "n_distinct" in golden:
        _short_of_gradients(golden, twin)
    golden.for_information("batch_size", "canonical_id")
    _frequencies(golden)


def _short_of_gradients(golden: Golden, twin: np.ndarray) -> None:
    """Every distinct gradient is in the batch before any twin, and the rest is uniform."""
    batch, distinct = golden.count("batch_size"), golden.count("n_distinct")
    residual = residuals(torch.from_numpy(golden["probs"]).double())
    gradients = (residual[:, :, None] * torch.from_numpy(golden["embeddings"]).double()[:, None]).flatten(1).numpy()
    kinds = np.unique(gradients.round(12), axis=0, return_inverse=True)[1].ravel()
    batches = _batches(golden, batch, SHORT_OF_GRADIENTS_SEEDS)
    found = [len(set(kinds[picks[: min(distinct, batch)]])) for picks in batches]
    # a gradient of zero may be one of the distinct ones, and is only drawn by the fill
    zero = bool((np.abs(gradients).max(axis=1) == 0).any())
    least = min(distinct - zero, batch)
    golden.satisfied("n_distinct", min(found) >= least, f"{min(found)} kinds of gradient in the first {distinct} picks")


@check("badge_freq")
def badge_freq(golden: Golden) -> None:
    badge(golden)


def _frequencies(golden: Golden) -> None:
    """Inclusion and second-pick frequencies over seeds, for the keys that the file has."""
    golden.for_information("inclusion_official_2000", "second_pick_official_2000", "n_seeds")
    keys = [key for key in ("inclusion_exact", "second_pick_prob_exact") if key in golden]
    if not keys:
        return
    batches = _batches(golden, golden.count("batch_size"), SEEDS)
    pool = len(golden["probs"])
    if "inclusion_exact" in golden:
        _within(golden, "inclusion_exact", np.bincount(batches.ravel(), minlength=pool) / SEEDS)
    if "second_pick_prob_exact" in golden:
        _within(golden, "second_pick_prob_exact", np.bincount(batches[:, 1], minlength=pool) / SEEDS)
