"""A process that starts a run again and again and kills it at random instants; test_resume.py looks at what is left.

It imports once and forks, and draws no pictures, so that an attempt costs what the work costs and the instants fall
into it.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tiny import contents, tiny

import alrun.run
from alrun.prepare import Prepared, prepare
from alrun.run import Quiet, execute
from alrun.rundir import RunDir


def attempt(prepared: Prepared) -> int:
    """A child at work on the run."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            execute(prepared, Quiet())
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Wait for a child; its exit status."""
    return os.waitpid(child, 0)[1]


def main(runs_dir: Path, kills: int, *overrides: str) -> None:
    """Print one JSON object: kills that hit, runs completed, cycles committed at each kill."""
    torch.set_num_threads(1)
    if "model=transformer" in overrides:
        import peft  # noqa: F401
        import transformers  # noqa: F401
    alrun.run.draw_run = lambda folder, formats: []
    rng = np.random.default_rng(0)
    prepared = prepare(tiny(f"runs_dir={runs_dir}", *overrides))
    home = RunDir(prepared.folder)
    assert ended(attempt(prepared)) == 0  # fills the caches
    whole = contents(home.path)
    shutil.rmtree(home.path)
    began = time.perf_counter()
    assert ended(attempt(prepared)) == 0
    takes = time.perf_counter() - began
    assert contents(home.path) == whole
    shutil.rmtree(home.path)
    at: list[int] = []
    complete = 0
    while len(at) < kills:
        child = attempt(prepared)
        time.sleep(rng.random() * takes)
        hit = os.waitpid(child, os.WNOHANG)[0] == 0
        if hit:
            os.kill(child, signal.SIGKILL)
            ended(child)
            at.append(len(home.metrics()))
            for name, content in whole.items():
                path = home.path / name
                found = path.read_bytes() if path.exists() else b""
                sound = found[: found.rfind(b"\n") + 1] if name == "metrics.jsonl" else b""
                assert content.startswith(sound), f"{name} is not a beginning of the whole run's"
        if home.summary() is not None:
            complete += 1
            assert contents(home.path) == whole
            shutil.rmtree(home.path)
    assert ended(attempt(prepared)) == 0
    assert contents(home.path) == whole
    print(json.dumps({"kills": len(at), "complete": complete + 1, "at": at, "seconds": takes}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
