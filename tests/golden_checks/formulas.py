"""Files of tests/golden/less: expected keys begin with exp_, all others are inputs."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
from torch import Tensor

from alrun.numerics.ranking import highest

from .golden_file import Golden

Case = TypeVar("Case")


def tolerance(golden: Golden, key: str) -> dict[str, float]:
    """The README's: by precision, and wider for what went through Adam's root."""
    if key.endswith("_f32") or golden.arrays[key].dtype.itemsize < 8:
        return {"rtol": 2e-4, "atol": 2e-5}
    return {"rtol": 1e-7 if "adam" in key or "gamma" in key else 1e-9, "atol": 1e-11}


def compare(golden: Golden, formulas: Mapping[str, Callable[[Case], Tensor]], case: Case) -> None:
    """Every expected key that has a formula, whole numbers exactly; one without stays unread, which is a failure."""
    golden.for_information(*(key for key in golden.arrays if not key.startswith("exp_") or key.endswith("_margin")))
    for key in golden.arrays:
        name = key.removeprefix("exp_")
        if key == name or name not in formulas:
            continue
        value = formulas[name](case).numpy()
        if golden.arrays[key].dtype.kind in "iu":
            golden.equal(key, value)
        else:
            golden.close(key, value, **tolerance(golden, key))


def top_picks(golden: Golden, key: str, scores: Tensor, listed: Tensor) -> None:
    """The best by `scores` are those `listed` in the file; another pick is right when its score is within 1e-9."""
    ours = highest(scores, len(listed))
    same = bool((ours == listed).all())
    near = len(listed.unique()) == len(listed) and bool(((scores[ours] - scores[listed]).abs() <= 1e-9).all())
    golden.satisfied(key, same or near, f"we picked {ours.tolist()}, not {np.asarray(listed).tolist()}")
