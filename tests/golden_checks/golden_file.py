"""A golden file that remembers what was read and what was compared."""

from pathlib import Path

import numpy as np

INPUTS = {  # no kind of file expects these: a check that has no use for one need not read it
    *("features", "embeddings", "logits", "labels", "cluster_labels", "x1", "x2", "y_star", "dropout_predictions"),
    *("unlabelled_embeddings", "labelled_embeddings", "labelled_y", "head_weight", "head_bias"),
    *("labelled", "unlabelled", "batch_size", "canonical_id", "given_picks", "init_ids", "init_centers"),
    *("h", "sigma_default", "temperature", "n_bins", "delta", "radii", "threshold", "k_nn", "min_cluster_size", "beta"),
    *("cap_step", "n_classes", "n_seeds", "lr", "iters", "balance"),
}
FLOAT32 = 1e-5  # relative tolerance of what is stored or computed in float32


class Golden:
    """The arrays of a golden file by name.

    A key that was never read is a failure, unless it is an input, and so is a file in which no expected value was
    compared: `finish()` says so.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as arrays:
            self.arrays = {key: arrays[key] for key in arrays.files}
        self.name = path.stem
        self.read: set[str] = set()
        self.compared: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def __getitem__(self, key: str) -> np.ndarray:
        self.read.add(key)
        return self.arrays[key]

    def has(self, *keys: str) -> bool:
        """Whether the file has all of them."""
        return all(key in self.arrays for key in keys)

    def get(self, key: str) -> np.ndarray | None:
        """The array, or None where the file has none."""
        return self[key] if key in self.arrays else None

    def number(self, key: str) -> float:
        """A scalar."""
        return float(self[key])

    def count(self, key: str) -> int:
        """A whole scalar."""
        return int(self[key])

    def twins(self, size: int) -> np.ndarray:
        """(size,) what each row is known by: bit-identical rows share it."""
        return self["canonical_id"] if "canonical_id" in self else np.arange(size)

    def labelled(self, size: int) -> np.ndarray:
        """Indices with a label in a pool of this size: those listed, or all but the unlabelled, or none."""
        everyone = np.arange(size)
        if "labelled" not in self:
            return np.setdiff1d(everyone, self["unlabelled"]) if "unlabelled" in self else everyone[:0]
        labelled = self["labelled"].astype(np.int64)
        self.given("unlabelled", np.setdiff1d(everyone, labelled))
        return labelled

    def for_information(self, *keys: str) -> None:
        """Keys that are recorded and, by the README, not expected values; absent ones are fine."""
        self.read.update(key for key in keys if key in self.arrays)

    def given(self, key: str, ours: object) -> None:
        """An input that follows from others, where the file has it: it must be right, and nothing is compared by it."""
        if key in self:
            np.testing.assert_array_equal(np.asarray(ours), self[key], err_msg=f"{self.name}: {key}")

    def equal(self, key: str, ours: object) -> None:
        """Our value is exactly the one in the file."""
        self.compared.add(key)
        np.testing.assert_array_equal(np.asarray(ours), self[key], err_msg=f"{self.name}: {key}")

    def close(self, key: str, ours: object, rtol: float = 1e-9, atol: float = 1e-7) -> None:
        """Our value is the one in the file up to tolerance, and up to its rounding where it is stored in float32."""
        self.compared.add(key)
        stored = self[key]
        rtol = max(rtol, FLOAT32) if stored.dtype == np.float32 else rtol
        np.testing.assert_allclose(np.asarray(ours), stored, rtol, atol, err_msg=f"{self.name}: {key}")

    def satisfied(self, key: str, true: bool, message: str) -> None:
        """A rule about the array `key` that is not a plain comparison."""
        self.read.add(key)
        self.compared.add(key)
        assert true, f"{self.name}: {key}: {message}"

    def finish(self) -> None:
        """Raise unless every key was read and something was compared."""
        unread = set(self.arrays) - self.read - INPUTS
        assert not unread, f"{self.name}: no check reads {sorted(unread)}"
        assert self.compared, f"{self.name}: the check found nothing to compare"
