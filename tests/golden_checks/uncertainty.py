"""Margin, entropy, least confidence."""

import numpy as np
from arrays import ArraySignals, view

from alrun import registry

from . import check
from .golden_file import Golden
from .ties import TIED, kinds, lowest_first

ROUNDING = {"margin": 0.0, "entropy": TIED, "least_confidence": 0.0}  # only a sum's terms come in an order


@check("uncertainty")
def uncertainty(golden: Golden) -> None:
    probs = golden["probs"].astype(float)
    golden.for_information("gap")  # of which of them?
    for name in ROUNDING:
        everyone = _choose(name, probs, len(probs))
        scores = np.empty(len(probs))
        scores[everyone.indices] = everyone.scores
        if f"score_{name}" in golden:
            golden.close(f"score_{name}", scores)
        if f"selected_{name}" in golden:
            _agrees(golden, name, probs, scores)
        if f"gap_{name}" in golden:  # best minus second best among those that are left
            ordered = np.sort(-scores)
            golden.close(f"gap_{name}", np.diff(ordered)[: len(golden[f"gap_{name}"])])


def _choose(name: str, probs: np.ndarray, n: int):
    choose = registry.build("strategy", {"name": name})
    return choose(view(ArraySignals(probs=probs), len(probs)), n)


def _agrees(golden: Golden, name: str, probs: np.ndarray, scores: np.ndarray) -> None:
    """Our picks are the file's, up to twins and ties; equal rows without a canonical_id come in their order."""
    key = f"selected_{name}"
    selected = golden[key]
    n = golden.count("batch_size") if "batch_size" in golden else len(selected)
    golden.satisfied(key, len(set(selected)) == len(selected) == n, f"{len(set(selected))} different picks of {n}")
    if "canonical_id" not in golden:
        ordered = lowest_first(selected, kinds(probs), np.arange(len(probs)))
        golden.satisfied(key, ordered, "of equal rows the lowest come first")
    twin = golden.twins(len(probs))
    for dtype, near in ((np.float64, ROUNDING[name]), (np.float32, 1e-5)):
        picks = _choose(name, probs.astype(dtype), n).indices.numpy()
        same = (twin[picks] == twin[selected]) | np.isclose(scores[picks], scores[selected], near, near)
        golden.satisfied(key, len(picks) == n and same.all(), f"we picked {picks} in {dtype.__name__}")
