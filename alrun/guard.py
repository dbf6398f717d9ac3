"""A run under guard: what it does goes into run.log, and what ends it early into run.json."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from .errors import REFUSALS, RunFailed, UserError, Waiting
from .rundir import SCHEMA, RunDir, translated

log = logging.getLogger("alrun")


@contextmanager
def recorded(home: RunDir) -> Iterator[None]:
    """What goes wrong inside is written down in the folder before it leaves."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # the latter is how a queue takes a job back
        log.warning("interrupted")
        raise
    except Waiting as waiting:
        log.info("%s", waiting)
        raise
    except UserError as error:
        _record(home, error)
        raise
    except BaseException as error:
        log.exception("the run failed")
        _record(home, error)
        if isinstance(error, RunFailed):
            raise
        if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
            raise RunFailed("out of memory: lower dataset.pool, or the encoder's batch_size") from error
        if isinstance(error, OSError) and error.errno in REFUSALS:
            raise RunFailed(f"cannot write {error.filename or f'in {home.path}'}: {REFUSALS[error.errno]}") from error
        raise RunFailed(f"{type(error).__name__}: {error}") from error


def _record(home: RunDir, error: BaseException) -> None:
    with suppress(RunFailed, UserError):
        found = {"type": type(error).__name__, "message": str(error)}
        home.write_json("run.json", home.provenance() | {"schema": SCHEMA, "error": found})


class _LogFile(logging.FileHandler):
    """A log that a full disk cuts short without a word: what it would say of that, the run says itself."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing."""

    def close(self) -> None:
        """Close the file, whether or not its end could be written."""
        with suppress(OSError):
            super().close()


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Everything logged goes to the folder's run.log, and nowhere else."""
    with translated(folder):
        handler = _LogFile(folder / "run.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    try:
        log.info("process %d: alrun %s", os.getpid(), " ".join(sys.argv[1:]))
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
