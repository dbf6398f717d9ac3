"""Every golden file below $ALRUN_GOLDEN (default tests/golden) against the strategies and their mathematics."""

import os
from glob import glob  # Path.rglob passes over folders that are links
from pathlib import Path

import pytest
from golden_checks import CHECKS, find
from golden_checks.golden_file import Golden

FOLDER = Path(os.environ.get("ALRUN_GOLDEN") or Path(__file__).parent / "golden")
FILES = sorted(FOLDER / name for name in glob("**/*.npz", root_dir=FOLDER, recursive=True, include_hidden=True))


def test_there_are_files() -> None:
    assert FILES, f"no .npz below {FOLDER}"


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(FOLDER)) for path in FILES])
def test_golden(path: Path) -> None:
    check = find(path)
    assert check, f"no check for {path.name}: known are {', '.join(sorted(CHECKS))}"
    golden = Golden(path)
    check(golden)
    golden.finish()
