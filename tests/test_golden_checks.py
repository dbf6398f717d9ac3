"""The checks of golden files themselves: right files pass with few keys or many ties, a wrong value anywhere fails."""

from pathlib import Path

import numpy as np
import pytest
from golden_checks import CHECKS, find
from golden_checks.golden_file import INPUTS, Golden
from golden_checks.greedy import Coverage

GOLDEN = Path(__file__).parent / "golden"


def shipped(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def run(folder: Path, name: str, arrays: dict[str, np.ndarray]) -> None:
    path = folder / f"{name}.npz"
    np.savez(path, **arrays)
    golden, check = Golden(path), find(path)
    assert check
    check(golden)
    golden.finish()


def only(arrays: dict[str, np.ndarray], keys: str) -> dict[str, np.ndarray]:
    return {key: arrays[key] for key in keys.split()}


def unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def herded(features: np.ndarray, batch: int, sigma: float, labelled: np.ndarray) -> dict[str, np.ndarray]:
    """A MaxHerding file."""
    similar = np.exp(-((unit(features)[:, None] - unit(features)) ** 2).sum(2) / sigma**2)
    coverage, picks = Coverage(similar, np.ones(len(similar)), labelled), np.zeros(0, int)
    for _ in range(batch):
        picks = np.append(picks, np.nanargmax(coverage.steps(np.append(picks, 0)).gains[-1]))
    steps = coverage.steps(picks)
    arrays = {"features": features, "labelled": labelled, "batch_size": np.array(batch), "sigma": np.array(sigma)}
    return {**arrays, "selected": picks, "gains": steps.gains, "objective": steps.objective, "gap": steps.gap()}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("badge", "badge"),
        ("badge_x", "badge"),
        ("badge2", "badge"),
        ("badge-x", "badge"),
        ("badge_freq_x", "badge_freq"),
        ("uherding_temp_x", "uherding"),
        ("uherding_temperature2", "uherding_temperature"),
        ("zzz_badge", None),
        ("Badge_x", None),
    ],
)
def test_a_file_is_of_the_kind_with_the_longest_prefix(name: str, kind: str | None) -> None:
    assert find(Path(f"{name}.npz")) is (CHECKS[kind] if kind else None)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("kernels_a", "x1 x2 cauchy rational"),
        ("maxherding_b", "features labelled sigma objective_start"),
        ("maxherding_b", "features labelled batch_size sigma objective"),
        ("maxherding_b", "features unlabelled sigma gap"),
        ("uherding_a", "logits temperature uncertainty_entropy"),
        ("uherding_a", "probs uncertainty_conf"),
        ("uherding_a", "features labelled sigma_default sigma"),
        ("uherding_a", "features labelled logits temperature sigma_default objective_start_margin"),
        ("uherding_a", "features labelled batch_size logits temperature gains_conf"),
        ("uherding_temperature_a", "grid"),
        ("uherding_temperature_a", "logits labels best_temperature"),
        ("uherding_calib_split_a", "order_10 calib_val_10"),
        ("probcover_b", "features labelled delta covered_start"),
        ("probcover_b", "features labelled delta selected"),
        ("probcover_purity_a", "features cluster_labels radii purity"),
    ],
)
def test_few_keys_are_enough(tmp_path: Path, name: str, keys: str) -> None:
    arrays = only(shipped(name), keys)
    run(tmp_path, name, {**arrays, "canonical_id": np.arange(len(arrays.get("features", ())))})


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("maxherding_a", "features labelled unlabelled batch_size sigma"),
        ("probcover_a", "features labelled unlabelled batch_size delta"),
        ("uherding_a", "features labelled unlabelled batch_size logits temperature sigma_default"),
        ("kernels_a", "x1 x2 h"),
        ("uherding_calib_split_a", "order_10"),
    ],
)
def test_inputs_alone_are_nothing_to_compare(tmp_path: Path, name: str, keys: str) -> None:
    with pytest.raises(AssertionError, match="nothing to compare"):
        run(tmp_path, name, only(shipped(name), keys))


def test_labelled_and_unlabelled_must_share_the_pool(tmp_path: Path) -> None:
    arrays = shipped("maxherding_b")
    with pytest.raises(AssertionError, match="unlabelled"):
        run(tmp_path, "maxherding", {**arrays, "unlabelled": arrays["unlabelled"][1:]})


def test_arrays_in_single_precision_are_compared_as_such(tmp_path: Path) -> None:
    arrays = shipped("maxherding_a")
    arrays["objective"] = arrays["objective"].astype(np.float32)
    run(tmp_path, "maxherding", arrays)
    arrays["objective"][3] *= 1.0001
    with pytest.raises(AssertionError, match="objective"):
        run(tmp_path, "maxherding", arrays)


def test_a_tie_may_be_broken_either_way(tmp_path: Path) -> None:
    angle = np.arange(12) * np.pi / 6
    arrays = herded(np.stack([np.cos(angle), np.sin(angle)], 1), 8, 0.5, np.zeros(0, int))
    arrays["selected"] = (arrays["selected"] + 5) % 12
    arrays["gains"] = np.roll(arrays["gains"], 5, axis=1)
    run(tmp_path, "maxherding", arrays)
    del arrays["gains"]
    run(tmp_path, "maxherding", arrays)
    arrays["selected"][1] = (arrays["selected"][0] + 1) % 12
    with pytest.raises(AssertionError, match="selected"):
        run(tmp_path, "maxherding", arrays)


@pytest.mark.parametrize("name", ["maxherding_b", "uherding_a", "probcover_b", "kernels_a", "uherding_calib_split_a"])
def test_a_wrong_entry_anywhere_fails(tmp_path: Path, name: str) -> None:
    arrays, rng = shipped(name), np.random.default_rng(0)
    inputs = INPUTS | ({"sigma"} if name.startswith("max") else set())
    if name.startswith("uherding_a"):
        arrays = {key: value for key, value in arrays.items() if not key.endswith(("_entropy", "_conf"))}
    for key in arrays:
        if key in inputs or "official" in key or key.startswith("order"):
            continue
        wrong = arrays[key].copy()
        at = tuple(rng.choice(np.argwhere(~np.isnan(wrong)))) if wrong.ndim else ()
        wrong[at] += 1 if wrong.dtype.kind in "iu" else 1e-3
        with pytest.raises(AssertionError):
            run(tmp_path, name, {**arrays, key: wrong})


def test_too_few_labels_for_calibration_are_all_trained_on(tmp_path: Path) -> None:
    right = {"order_3": np.array([5, 1, 9]), "calib_train_3": np.array([5, 1, 9]), "calib_val_3": np.zeros(0, int)}
    run(tmp_path, "uherding_calib_split", right)
    for key, wrong in (("calib_train_3", np.array([7, 7])), ("calib_val_3", np.array([9]))):
        with pytest.raises(AssertionError, match=key):
            run(tmp_path, "uherding_calib_split", {**right, key: wrong})


def test_features_beyond_single_precision_have_no_float32_pass(tmp_path: Path) -> None:
    features, labelled = np.random.default_rng(0).standard_normal((30, 6)), np.array([2, 5, 7])
    apart = np.linalg.norm(unit(features)[labelled][:, None] - unit(features)[labelled], axis=2)
    arrays = herded(features, 8, apart[apart > 0].min(), labelled)
    followed = {f"{key}_margin": arrays.pop(key) for key in ("selected", "gains", "objective", "gap")}
    uncovered = (
        "gains_margin",
        "gap_margin",
        "selected_margin",
    )  # labelled points have no weight, and cover themselves
    run(tmp_path, "uherding", {**arrays, **only(followed, " ".join(uncovered)), "logits": np.zeros((30, 3))})
