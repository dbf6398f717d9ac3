"""Where and with what a run was made."""

import platform
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from . import __version__

PACKAGES = ("torch", "transformers", "scikit-learn", "numpy", "scipy", "hydra-core", "omegaconf", "matplotlib")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def installed(package: str) -> str | None:
    """The version of an installed package, else None."""
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def surroundings() -> dict[str, Any]:
    """The command, the code and the machine, for run.json."""
    return {
        "argv": sys.argv[1:],
        "alrun": __version__,
        "git": _git(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: installed(name) for name in PACKAGES},
    }


def _git() -> dict[str, Any] | None:
    """Commit and state of the checkout that this code runs from, if it is one."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None

    def ask(*words: str) -> str:
        return subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout

    with suppress(OSError, subprocess.CalledProcessError):
        return {"commit": ask("rev-parse", "HEAD").strip(), "dirty": bool(ask("status", "--porcelain").strip())}
    return None
