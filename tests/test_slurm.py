"""The whole way through a real Slurm, where Debian's packages of it are installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "slurm_sweep.py"


@pytest.mark.slow
def test_a_sweep_whose_jobs_and_node_daemon_are_killed() -> None:
    pytest.importorskip("submitit", reason="the extra slurm is not installed")
    ran = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    if ran.returncode == 3:
        pytest.skip(ran.stdout.strip())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["cells"] == 12
    assert len(told["shot"]) == 2
    assert told["torn"], "a job was killed between its first cycle and its last"
    assert told["reused"] < 12
