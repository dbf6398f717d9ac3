"""UHerding's temperature, and which labels it is fitted on."""

import numpy as np
import torch
from arrays import ArraySignals, view

from alrun import registry
from alrun.numerics.calibration import TEMPERATURES, best_temperature, temperature_errors

from . import check
from .golden_file import Golden


@check("uherding_temperature")
def uherding_temperature(golden: Golden) -> None:
    if "grid" in golden:
        golden.close("grid", TEMPERATURES)
    if not any(key in golden for key in ("ece", "ece_official_f32", "best_temperature")):
        return
    logits, labels = golden["logits"], golden["labels"]
    bins = golden.count("n_bins") if "n_bins" in golden else logits.shape[1]
    errors = temperature_errors(logits, labels, bins)
    if "ece" in golden:
        golden.close("ece", errors)
    if "ece_official_f32" in golden:
        golden.close("ece_official_f32", errors, rtol=0, atol=1e-4)
    if "best_temperature" in golden:
        golden.close("best_temperature", best_temperature(logits, labels, bins))


@check("uherding_calib_split")
def uherding_calib_split(golden: Golden) -> None:
    for key in [key for key in golden.arrays if key.startswith("order_")]:
        order, size = golden[key].astype(np.int64), key.removeprefix("order_")
        train, held_out = _split(order)
        for part, ours in ((f"calib_train_{size}", train), (f"calib_val_{size}", held_out)):
            if part in golden:
                golden.equal(part, ours)


def _split(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run UHerding on a pool with these labelled items: what it trains on and what it asks the refit model.

    Without calibration it trains no second model, and all that is labelled is trained on.
    """
    pool = int(order.max(initial=0)) + 3
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((pool, 3))
    trained, asked = [order], [order[:0]]

    class Refit(ArraySignals):
        def logits(self, idx: torch.Tensor) -> torch.Tensor:
            asked.append(idx.numpy())
            return super().logits(idx)

    def refit(idx: torch.Tensor) -> Refit:
        trained.append(idx.numpy())
        return Refit(logits=logits)

    signals = ArraySignals(features=rng.standard_normal((pool, 4)), logits=logits, refit=refit)
    options = {"kernel": "rbf", "adaptive_sigma": True, "uncertainty": "margin", "sigma": 1.0, "calibration": "newest"}
    choose = registry.build("strategy", {"name": "uherding", **options})
    temperature = choose(view(signals, pool, order, labels=order % 3, n_classes=3), 1).notes["temperature"]
    assert len(trained) == len(asked) <= 2 and (len(asked) == 2 or temperature == 1)
    return trained[-1], asked[-1]
