"""The files of a run's models as they were written: what is recorded of them, and what has become of them."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

CHUNK = 1 << 22


def record(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Name -> size and sha256 of each."""
    return {name: {"bytes": len(content), "sha256": sha256(content).hexdigest()} for name, content in files.items()}


def damages(folder: Path, recorded: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """For each file of the folder that is not what was recorded, which it is and what is wrong with it."""
    for name, about in sorted(recorded.items()):
        path = folder / name
        if not path.is_file():
            yield f"{path} is gone"
        elif (size := path.stat().st_size) != about["bytes"]:
            yield f"{path} has {size} bytes, {about['bytes']} were written"
        elif _sha256(path) != about["sha256"]:
            yield f"{path} does not have the content that was written"


def _sha256(path: Path) -> str:
    whole = sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            whole.update(chunk)
    return whole.hexdigest()
