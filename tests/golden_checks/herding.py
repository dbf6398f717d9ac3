"""Kernels, MaxHerding, UHerding with its temperature and its split."""

import math

import numpy as np
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.numerics.calibration import TEMPERATURES, best_temperature, temperature_errors
from alrun.numerics.coverage import covered_by
from alrun.numerics.distances import unit_rows
from alrun.numerics.kernels import Kernel, similarity
from alrun.numerics.rows import Rows
from alrun.types import Selection

from . import check
from .golden_file import Golden

MAX = {"name": "maxherding", "kernel": "rbf"}
UNCERTAIN = {"name": "uherding", "kernel": "rbf", "adaptive_sigma": True}


@check("kernels")
def kernels(golden: Golden) -> None:
    left, right = (torch.from_numpy(golden[key]).double() for key in ("x1", "x2"))
    squared = (left[:, None] - right[None]).square().sum(2)
    for kernel in Kernel:
        if kernel in golden:
            golden.close(kernel, similarity(squared.clone(), kernel, golden.number("h")))


def _covered(golden: Golden, weights: np.ndarray, sigma: float) -> float:
    """Mean weighted coverage of the whole pool by the labelled set."""
    points = unit_rows(torch.from_numpy(golden["features"]))
    labelled = points[torch.from_numpy(golden["labelled"])]
    covered = covered_by(Rows(points, Kernel.rbf, sigma, block=32), labelled).numpy()
    return float(weights @ covered) / len(points)


def _agrees(golden: Golden, ours: Selection, kind: str, exact: bool) -> None:
    """Order, objective and gains by the README's rules; `kind` is the suffix of the keys."""
    picks, scores = ours.indices.numpy(), ours.scores.numpy()
    twin = golden["canonical_id"] if "canonical_id" in golden else np.arange(len(golden["features"]))
    selected, gains = golden.get(f"selected{kind}"), golden.get(f"gains{kind}")
    tolerance, tie = (1e-9, 1e-12) if exact else (1e-5, 1e-6)
    parted = len(picks)  # after a tie that the two break differently, what follows cannot be compared
    if selected is not None:
        parted = int((twin[picks] == twin[selected]).argmin()) if (twin[picks] != twin[selected]).any() else parted
        tied = parted == len(picks) or (
            gains is not None and abs(gains[parted, picks[parted]] - gains[parted, selected[parted]]) <= tie
        )
        golden.satisfied(f"selected{kind}", bool(tied), f"we picked {picks}")
    if gains is not None:
        for t, pick in enumerate(picks[: parted + 1]):
            golden.satisfied(f"gains{kind}", gains[t, pick] >= np.nanmax(gains[t]) - 1e-6, f"pick {t} is {pick}")
            np.testing.assert_allclose(scores[t], gains[t, pick], tolerance, 1e-7)
    same = parted == len(picks)
    if same and f"objective{kind}" in golden:
        start = golden.get(f"objective_start{kind}")
        grown = np.cumsum(scores)
        if start is not None:
            golden.close(f"objective{kind}", start + grown, rtol=tolerance)
        else:
            golden.close(f"objective{kind}", grown - grown[0] + golden[f"objective{kind}"][0], rtol=tolerance)
    golden.for_information(f"selected_official_f64{kind}", f"selected_official_f32{kind}", f"gap{kind}")


@check("maxherding")
def maxherding(golden: Golden) -> None:
    features, labelled, sigma = golden["features"], golden["labelled"], golden.number("sigma")
    golden.equal("unlabelled", np.setdiff1d(np.arange(len(features)), labelled))
    choose = registry.build("strategy", {**MAX, "sigma": sigma})
    for dtype in (np.float64, np.float32):
        signals = ArraySignals(features=features.astype(dtype))
        ours = choose(view(signals, len(features), labelled), golden.count("batch_size"))
        _agrees(golden, ours, "", exact=dtype is np.float64)
    if "objective_start" in golden:
        golden.close("objective_start", _covered(golden, np.ones(len(features)), sigma))


@check("uherding")
def uherding(golden: Golden) -> None:
    features, labelled = golden["features"], golden["labelled"]
    golden.equal("unlabelled", np.setdiff1d(np.arange(len(features)), labelled))
    logits = golden["logits"].astype(float) / golden.number("temperature")
    probs = torch.from_numpy(logits).softmax(1).numpy()
    if "probs" in golden:
        golden.close("probs", probs)
    for measure, short in (("margin", "margin"), ("entropy", "entropy"), ("confidence", "conf")):
        kind = f"_{short}"
        options = {**UNCERTAIN, "uncertainty": measure, "sigma": golden.number("sigma_default"), "calibration": "none"}
        weights = _weights(golden, probs, short)
        if not golden.has(f"selected{kind}") and not golden.has(f"gains{kind}"):
            continue
        for dtype in (np.float64, np.float32):
            signals = ArraySignals(features=features.astype(dtype), logits=logits.astype(dtype))
            ours = registry.build("strategy", options)(
                view(signals, len(features), labelled, n_classes=logits.shape[1]), golden.count("batch_size")
            )
            if "sigma" in golden:
                golden.close("sigma", ours.notes["sigma"], atol=0)
            _agrees(golden, ours, kind, exact=dtype is np.float64)
        if f"objective_start{kind}" in golden:
            start = _covered(golden, weights, golden.number("sigma")) if len(labelled) else 0.0
            golden.close(f"objective_start{kind}", start)


def _weights(golden: Golden, probs: np.ndarray, short: str) -> np.ndarray:
    """Uncertainty as the strategies score it, 0 on labelled points, 1 everywhere without any."""
    name = {"conf": "least_confidence"}.get(short, short)
    everyone = registry.build("strategy", {"name": name})(view(ArraySignals(probs=probs), len(probs)), len(probs))
    weights = np.empty(len(probs))
    weights[everyone.indices] = everyone.scores
    if f"uncertainty_{short}" in golden:
        golden.close(f"uncertainty_{short}", weights)
    if not len(golden["labelled"]):
        return np.ones(len(probs))
    weights[golden["labelled"]] = 0
    return weights


@check("uherding_temperature")
def uherding_temperature(golden: Golden) -> None:
    logits, labels, bins = golden["logits"], golden["labels"], golden.count("n_bins")
    if "grid" in golden:
        golden.close("grid", TEMPERATURES)
    if "ece" in golden:
        golden.close("ece", temperature_errors(logits, labels, bins))
    if "best_temperature" in golden:
        golden.close("best_temperature", best_temperature(logits, labels, bins))
    if "ece_official_f32" in golden:
        golden.close("ece_official_f32", temperature_errors(logits, labels, bins), rtol=0, atol=1e-4)


@check("uherding_calib_split")
def uherding_calib_split(golden: Golden) -> None:
    sizes = [int(key.removeprefix("order_")) for key in golden.arrays if key.startswith("order_")]
    for size in sizes:
        order = golden[f"order_{size}"]
        trained: list[np.ndarray] = []
        asked: list[np.ndarray] = []
        temperature = _calibrate(order, trained, asked)
        for key, ours in ((f"calib_train_{size}", trained), (f"calib_val_{size}", asked)):
            if key not in golden:
                continue
            if ours:
                golden.equal(key, ours[0])
            else:
                golden.satisfied(key, size < 4 and math.isclose(temperature, 1), "no calibration took place")


def _calibrate(order: np.ndarray, trained: list[np.ndarray], asked: list[np.ndarray]) -> float:
    """Run UHerding on a pool with these labelled items; note what it trains on and what it asks the refit model."""
    pool = int(order.max(initial=0)) + 3
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((pool, 3))

    class Refit(ArraySignals):
        def logits(self, idx: torch.Tensor) -> torch.Tensor:
            asked.append(idx.numpy())
            return super().logits(idx)

    def refit(idx: torch.Tensor) -> Refit:
        trained.append(idx.numpy())
        return Refit(logits=logits)

    signals = ArraySignals(features=rng.standard_normal((pool, 4)), logits=logits, refit=refit)
    options = {**UNCERTAIN, "uncertainty": "margin", "sigma": 1.0, "calibration": "newest"}
    choose = registry.build("strategy", options)
    return choose(view(signals, pool, order, labels=order % 3, n_classes=3), 1).notes["temperature"]
