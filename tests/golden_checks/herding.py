"""Kernels, MaxHerding, UHerding with its temperature and its split."""

from collections.abc import Callable

import numpy as np
import torch
from arrays import ArraySignals, view
from omegaconf import OmegaConf

from alrun import registry
from alrun.config import option_file
from alrun.numerics.coverage import covered_by
from alrun.numerics.distances import smallest_distance, unit_rows
from alrun.numerics.kernels import Kernel, similarity
from alrun.numerics.rows import Rows
from alrun.types import Selection

from . import check
from .golden_file import FLOAT32, Golden
from .greedy import Coverage

MAX = {"name": "maxherding", "kernel": "rbf"}
UNCERTAIN = {"name": "uherding", "kernel": "rbf", "adaptive_sigma": True}
MEASURES = {"margin": "margin", "entropy": "entropy", "conf": "least_confidence"}  # suffix of the keys: strategy
FOLLOWED = ("selected", "gains", "objective", "gap")  # one entry per pick
ROUNDING = 1e-11  # float64 gains that are so near are the same
NEAR = 1e-6  # float32 ones (README)


@check("kernels")
def kernels(golden: Golden) -> None:
    left, right = (torch.from_numpy(golden[key]).double() for key in ("x1", "x2"))
    squared = (left[:, None] - right[None]).square().sum(2)
    h = golden.number("h") if "h" in golden else 1.0  # two of them have no width
    for kernel in Kernel:
        if kernel in golden:
            golden.close(kernel, similarity(squared.clone(), kernel, h))


def _agrees(golden: Golden, kind: str, weights: np.ndarray, sigma: float, choose: Callable) -> None:
    """Keys with the suffix `kind`: a strategy's picks and the file's are both greedy, and the values are theirs.

    Where the best candidate is clear the two are then the same, and a tie may be broken either way.
    `choose` makes n picks in a precision.
    """
    points, labelled = unit_rows(torch.from_numpy(golden["features"])), golden.labelled(len(golden["features"]))
    if (key := f"objective_start{kind}") in golden:
        covered = covered_by(Rows(points, Kernel.rbf, sigma, block=32), points[torch.from_numpy(labelled)]).numpy()
        golden.close(key, weights @ covered / len(points))
    present = [name for name in FOLLOWED if f"{name}{kind}" in golden]
    if not present:
        return
    apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    coverage = Coverage(similarity(apart.square(), Kernel.rbf, sigma).numpy(), weights, labelled)
    n = golden.count("batch_size") if "batch_size" in golden else len(golden[f"{present[0]}{kind}"])
    ours = choose(np.float64, n)
    _is_greedy(coverage, ours, ROUNDING, 1e-9)
    if (golden["features"].astype(np.float32) == golden["features"]).all():
        _is_greedy(coverage, choose(np.float32, n), NEAR, FLOAT32)
    _follows(golden, kind, coverage, ours.indices.numpy())
    golden.for_information(f"selected_official_f64{kind}", f"selected_official_f32{kind}")


def _is_greedy(coverage: Coverage, ours: Selection, tie: float, tolerance: float) -> None:
    """Every pick was the best at its step, its score is what it gained, and the scores add up to the objective."""
    scores, steps = ours.scores.numpy(), coverage.steps(ours.indices.numpy())
    assert steps.greedy(tie), f"we picked {steps.picks}, the best candidates gain {np.nanmax(steps.gains, axis=1)}"
    np.testing.assert_allclose(scores, steps.gained(), tolerance, 1e-7)
    np.testing.assert_allclose(steps.start + np.cumsum(scores), steps.objective, tolerance, 1e-7)


def _follows(golden: Golden, kind: str, coverage: Coverage, ours: np.ndarray) -> None:
    """The file's picks are greedy, and its other arrays are brute force along them; without any, along ours."""
    path, certain = ours, coverage.steps(ours).forced(golden.twins(len(coverage.weights)), ROUNDING)
    if f"selected{kind}" in golden:
        path, certain = golden[f"selected{kind}"].astype(np.int64), len(ours)
        right = len(path) == len(ours) and coverage.steps(path).greedy(ROUNDING)
        golden.satisfied(f"selected{kind}", right, f"we picked {ours}")
    elif f"gains{kind}" in golden:
        path, certain = np.nanargmax(golden[f"gains{kind}"], axis=1), len(ours)
    steps = coverage.steps(path)
    for name, expected in (("gains", steps.gains), ("objective", steps.objective), ("gap", steps.gap())):
        if (key := f"{name}{kind}") in golden:
            unknown = np.isnan(expected) if name == "gap" else np.zeros(expected.shape, bool)
            unknown[certain:] = True  # after a tie another order has other values
            assert golden[key].shape == expected.shape, f"{golden.name}: {key}: not one entry per pick"
            golden.close(key, np.where(unknown, golden[key], expected))


@check("maxherding")
def maxherding(golden: Golden) -> None:
    features, sigma = golden["features"], golden.number("sigma")
    labelled = golden.labelled(len(features))
    choose = registry.build("strategy", {**MAX, "sigma": sigma})

    def picks(dtype: type, n: int) -> Selection:
        return choose(view(ArraySignals(features=features.astype(dtype)), len(features), labelled), n)

    _agrees(golden, "", np.ones(len(features)), sigma, picks)


@check("uherding")
def uherding(golden: Golden) -> None:
    if "logits" in golden:
        logits = golden["logits"].astype(float) / (golden.number("temperature") if "temperature" in golden else 1)
        if "probs" in golden:
            golden.close("probs", torch.from_numpy(logits).softmax(1))
    elif "probs" in golden:
        logits = np.log(golden["probs"].astype(float).clip(1e-300))
    else:  # with nothing labelled they play no part
        logits = np.zeros((len(golden["features"]), 2))
    for short in MEASURES:
        if f"uncertainty_{short}" in golden:
            golden.close(f"uncertainty_{short}", _uncertainty(logits, short))
    if "features" in golden:
        _uncertainty_coverage(golden, logits)
    else:
        golden.for_information("sigma")


def _uncertainty(logits: np.ndarray, short: str) -> np.ndarray:
    """(N,) as the strategies score it."""
    choose = registry.build("strategy", {"name": MEASURES[short]})
    everyone = choose(view(ArraySignals(logits=logits), len(logits)), len(logits))
    scores = np.empty(len(logits))
    scores[everyone.indices] = everyone.scores
    return scores


def _weights(logits: np.ndarray, short: str, labelled: np.ndarray) -> np.ndarray:
    """(N,) 0 on labelled points, 1 everywhere without any."""
    if not len(labelled):
        return np.ones(len(logits))
    doubt = np.sort(torch.from_numpy(logits).softmax(1).numpy())[:, :-1].sum(1)  # (N,)
    rounding = np.where(doubt > 1e-18, 1e-16, 0)  # so certain a point may come out as entirely certain, or not
    weights = np.maximum(_uncertainty(logits, short), rounding)
    weights[labelled] = 0
    return weights


def _uncertainty_coverage(golden: Golden, logits: np.ndarray) -> None:
    """The radius, and picks by every measure."""
    features, labelled = golden["features"], golden.labelled(len(golden["features"]))
    configured = OmegaConf.load(option_file("strategy", "uherding"))["sigma"]
    default = golden.number("sigma_default") if "sigma_default" in golden else configured
    smallest = smallest_distance(unit_rows(torch.from_numpy(features[labelled])), block=32)
    sigma = smallest if np.isfinite(smallest) else default
    if "sigma" in golden:
        golden.close("sigma", sigma, atol=0)
    for short in MEASURES:
        measure = "confidence" if short == "conf" else short
        options = {**UNCERTAIN, "uncertainty": measure, "sigma": default, "calibration": "none"}

        def picks(dtype: type, n: int, options: dict[str, object] = options) -> Selection:
            signals = ArraySignals(features=features.astype(dtype), logits=logits.astype(dtype))
            seen = view(signals, len(features), labelled, n_classes=logits.shape[1])
            ours = registry.build("strategy", options)(seen, n)
            np.testing.assert_allclose(ours.notes["sigma"], sigma, 1e-9 if dtype is np.float64 else FLOAT32)
            return ours

        _agrees(golden, f"_{short}", _weights(logits, short, labelled), sigma, picks)
