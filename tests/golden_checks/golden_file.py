"""A golden file that remembers what was read and what was compared."""

from pathlib import Path

import numpy as np


class Golden:
    """The arrays of a golden file by name.

    A key that was never read is a failure, and so is a file in which nothing was compared: `finish()` says so.
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

    def for_information(self, *keys: str) -> None:
        """Keys that are recorded and, by the README, not expected values; absent ones are fine."""
        self.read.update(key for key in keys if key in self.arrays)

    def equal(self, key: str, ours: np.ndarray) -> None:
        """Our value is exactly the one in the file."""
        self.compared.add(key)
        np.testing.assert_array_equal(np.asarray(ours), self[key], err_msg=f"{self.name}: {key}")

    def close(self, key: str, ours: np.ndarray, rtol: float = 1e-9, atol: float = 1e-7) -> None:
        """Our value is the one in the file up to tolerance."""
        self.compared.add(key)
        np.testing.assert_allclose(np.asarray(ours), self[key], rtol, atol, err_msg=f"{self.name}: {key}")

    def satisfied(self, key: str, true: bool, message: str) -> None:
        """A rule about the array `key` that is not a plain comparison."""
        self.read.add(key)
        self.compared.add(key)
        assert true, f"{self.name}: {key}: {message}"

    def finish(self) -> None:
        """Raise unless every key was read and something was compared."""
        unread = set(self.arrays) - self.read
        assert not unread, f"{self.name}: no check reads {sorted(unread)}"
        assert self.compared, f"{self.name}: the check found nothing to compare"
