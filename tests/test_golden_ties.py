"""Golden files with ties, doubtful digits and parts left out: right ones pass, and one wrong value in them fails."""

from pathlib import Path

import numpy as np
import pytest
from test_golden_checks import only, run, shipped


def refused(folder: Path, name: str, arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(AssertionError):
        run(folder, name, arrays)


def permuted() -> dict[str, np.ndarray]:
    """Rows that are permutations of six: their entropies tie, but not to the last digit of a plain sum."""
    rng = np.random.default_rng(4)
    probs = rng.permuted(np.tile(rng.dirichlet(np.ones(5), 6), (8, 1)), axis=1)
    score = -(probs * np.log(probs)).sum(1)
    selected = np.argsort(-score, kind="stable")[:12]
    return {"probs": probs, "batch_size": np.array(12), "score_entropy": score, "selected_entropy": selected}


def test_rows_that_tie_come_in_any_order_and_others_do_not(tmp_path: Path) -> None:
    file = permuted()
    run(tmp_path, "uncertainty_x", file)
    refused(tmp_path, "uncertainty_x", {**file, "selected_entropy": file["selected_entropy"][::-1]})
    twice = file["selected_entropy"].copy()
    twice[1] = twice[0]
    refused(tmp_path, "uncertainty_x", {**file, "selected_entropy": twice})


def test_equal_rows_come_in_their_order_unless_they_are_known_as_one(tmp_path: Path) -> None:
    probs = np.repeat(shipped("uncertainty_a")["probs"][:4], 3, axis=0)
    top = np.argsort(np.sort(probs, axis=1)[:, -1], kind="stable")[:3]
    file = {"probs": probs, "batch_size": np.array(3), "selected_least_confidence": top}
    run(tmp_path, "uncertainty_x", file)
    file["selected_least_confidence"] = top[::-1]
    refused(tmp_path, "uncertainty_x", file)
    run(tmp_path, "uncertainty_x", {**file, "canonical_id": np.repeat([0, 3, 6, 9], 3)})


def test_coreset_on_a_circle_and_on_whole_numbers(tmp_path: Path) -> None:
    turn = np.arange(8) * np.pi / 4
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for points, either in ((circle, True), (np.array([[2.0, 0], [1, 1], [0, 2], [-1, 1], [-2, 0]]), False)):
        file = {"features": points, "labelled": np.array([2]), "batch_size": np.array(2)}
        ends = [6, 0] if either else [0, 4]
        run(tmp_path, "coreset_x", {**file, "selected": np.array(ends)})
        turned = np.array([6, 4]) if either else np.array([4, 0])
        (run if either else refused)(tmp_path, "coreset_x", {**file, "selected": turned})
        refused(tmp_path, "coreset_x", {**file, "selected": np.array([1, 3])})


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("badge_a", "probs residual"),
        ("dropquery_a", "y_star dropout_predictions mismatches"),
        ("alfamix_a", "unlabelled_embeddings head_weight head_bias predicted critical_step grad_direction"),
        ("alfamix_a", "labelled_embeddings labelled_y n_classes anchors"),
        ("typiclust_a", "features cluster_labels unlabelled batch_size selected_official"),
        ("weighted_kmeans_a", "features candidates cand_features"),
        ("coreset_b", "features labelled unlabelled selected min_distance_final"),
    ],
)
def test_a_part_of_a_file_suffices_and_its_values_count(tmp_path: Path, name: str, keys: str) -> None:
    file = only(shipped(name), keys)
    run(tmp_path, name, file)
    last = keys.split()[-1]
    refused(tmp_path, name, {**file, last: file[last].astype(float) * 1.1 + 1})


def test_inputs_alone_are_nothing_to_compare(tmp_path: Path) -> None:
    for name, keys in (
        ("coreset_a", "features labelled unlabelled batch_size"),
        ("typiclust_a", "features cluster_labels labelled unlabelled batch_size"),
        ("dropquery_a", "y_star dropout_predictions batch_size n_iter"),
    ):
        refused(tmp_path, name, only(shipped(name), keys))


def test_no_given_picks_leave_empty_distances(tmp_path: Path) -> None:
    file = only(shipped("badge_a"), "embeddings probs given_picks min_sq_dist sampling_prob")
    run(tmp_path, "badge_x", {**file, **{key: file[key][:0] for key in list(file)[2:]}})
    refused(tmp_path, "badge_x", {**file, "given_picks": file["given_picks"][:-1]})


@pytest.mark.parametrize("said", [2, 3, 4])
def test_the_number_of_distinct_gradients_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: int) -> None:
    monkeypatch.setattr("golden_checks.badge.SEEDS", 100)
    file = {key: np.repeat(shipped("badge_a")[key][:3], 4, axis=0) for key in ("embeddings", "probs")}
    file |= {"batch_size": np.array(5), "n_distinct": np.array(said)}
    (run if said == 3 else refused)(tmp_path, "badge_x", file)


def test_a_nearly_certain_item_has_the_gradient_of_either_residual(tmp_path: Path) -> None:
    file = only(shipped("alfamix_b"), "unlabelled_embeddings head_weight head_bias")
    z = 6 * file["unlabelled_embeddings"].astype(float)
    logits = z @ file["head_weight"].T.astype(float) + file["head_bias"]
    share = np.exp(logits - logits.max(1, keepdims=True))
    naive = share / share.sum(1, keepdims=True)
    naive[np.arange(len(z)), logits.argmax(1)] -= 1
    gradient = naive @ file["head_weight"]
    length = np.linalg.norm(gradient, axis=1, keepdims=True)
    direction = gradient / np.where(length > 0, length, 1)
    file |= {"unlabelled_embeddings": z, "grad_direction": direction}
    run(tmp_path, "alfamix_x", file)
    direction[np.abs(logits).max(1).argmin()] *= 1.001
    refused(tmp_path, "alfamix_x", file)


def test_an_empty_cluster_is_left_out_or_filled(tmp_path: Path) -> None:
    file = shipped("weighted_kmeans_a")
    keys = "cand_features weights nearest_in_candidates"
    far = np.concatenate([file["centers"], np.full((1, 6), 1e3)])
    file = {**only(file, keys), "init_centers": far}
    picks = file["nearest_in_candidates"]
    heaviest = next(at for at in np.argsort(-file["weights"], kind="stable") if at not in picks)
    run(tmp_path, "weighted_kmeans_x", file)
    run(tmp_path, "weighted_kmeans_x", {**file, "nearest_in_candidates": np.append(picks, heaviest)})
    other = next(at for at in range(len(file["weights"])) if at not in picks and at != heaviest)
    refused(tmp_path, "weighted_kmeans_x", {**file, "nearest_in_candidates": np.append(picks, other)})
