"""What every test gets: one cache for the session, apart from the user's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small arrays: more threads only wait for each other


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """ALRUN_CACHE of the session: features and maps are computed once for all tests."""
    before, folder = os.environ.get("ALRUN_CACHE"), tmp_path_factory.mktemp("cache")
    os.environ["ALRUN_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["ALRUN_CACHE"]
    else:
        os.environ["ALRUN_CACHE"] = before


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, with a `mine` in it for what is no output."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
