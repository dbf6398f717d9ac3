"""A sweep through a real Slurm with jobs and a node daemon killed in the middle: python scripts/slurm_sweep.py

Brings up a one-machine Slurm in a temporary folder (Debian: apt-get install slurmctld slurmd slurm-client munge; root),
sends 12 cells into its queue, kills two running jobs and the node's daemon, brings the daemon back, gives the same
command again, and compares every cell with a sweep in one process. The daemons are taken down by their pid files.
Exits with 0 and a line of JSON if nothing was lost or computed twice, with 3 and a reason where Slurm cannot be had.
"""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")
CELLS, CYCLES = 12, 31
ASKED = (
    "dataset=digits", "dataset.pool=400", "dataset.target=2", "budget.unit=labels", "threads=1",
    f"budget.phases=[{{labels: 2, cycles: {CYCLES - 1}}}]", "strategy=random,margin,maxherding", "seed=range(4)",
)  # fmt: skip
THROUGH = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=10", "hydra.launcher.cpus_per_task=1")
CONF = """
ClusterName=sweep
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={home}/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} Sockets=1 CoresPerSocket={cores} ThreadsPerCore=1 State=UNKNOWN
PartitionName=sweep Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def until(true: Callable[[], object], what: str, patience: float = 60, of: subprocess.Popen | None = None) -> None:
    """Wait for something to be true, while the process `of` that does it is alive."""
    end = time.monotonic() + patience
    while not true():
        if of is not None and of.poll() is not None:
            raise SystemExit(f"waited for {what}, but the command ended with {of.returncode}")
        if time.monotonic() > end:
            raise SystemExit(f"waited {patience:.0f} s for {what}")
        time.sleep(0.02)


def ask(*words: str) -> str:
    """What a command prints; nothing where it fails."""
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def port() -> int:
    """A free one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(pid_file: Path, signum: int) -> None:
    """End the daemon that a pid file names, and wait until it is gone."""
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        os.kill(pid, signum)
        for attempt in range(200):
            os.kill(pid, 0 if attempt < 100 else signal.SIGKILL)
            time.sleep(0.05)


@contextmanager
def slurm(home: Path) -> Iterator[None]:
    """A Slurm of one machine, for as long as the block lasts."""
    host, munge = socket.gethostname().split(".")[0], pwd.getpwnam("munge")
    home.chmod(0o755)
    for name in ("state", "spool", "munge"):
        (home / name).mkdir()
    (home / "munge" / "key").write_bytes(os.urandom(1024))
    (home / "munge" / "key").chmod(0o600)
    for path in (home / "munge", home / "munge" / "key"):
        os.chown(path, munge.pw_uid, munge.pw_gid)
    conf = CONF.format(home=home, host=host, cores=os.cpu_count(), ports=(port(), port()))
    (home / "slurm.conf").write_text(conf)
    os.environ["SLURM_CONF"] = str(home / "slurm.conf")
    own = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{option}={home / 'munge' / name}" for option, name in own.items()]
    try:
        munged = ["munged", *options]
        subprocess.run(munged, check=True, user=munge.pw_uid, group=munge.pw_gid, extra_groups=[])
        subprocess.run(["slurmctld"], check=True)
        subprocess.run(["slurmd", "-N", host], check=True)
        until(lambda: "idle" in ask("sinfo", "-h", "-o", "%T"), "the node")
        yield
    finally:
        ask("scancel", "--user=root", "--signal=KILL")
        for name in ("slurmctld.pid", "slurmd.pid", "munge/pid"):
            stop(home / name, signal.SIGTERM)


def sweep(runs_dir: Path, *more: str) -> subprocess.Popen:
    """The command, as a process."""
    words = ["run", "-m", *ASKED, f"runs_dir={runs_dir}", *more]
    return subprocess.Popen([sys.executable, "-m", "alrun", *words], stdout=subprocess.PIPE, text=True)


def folders(runs_dir: Path) -> list[Path]:
    """Its cells that have begun."""
    return [path.parent for path in runs_dir.glob("*/*/*/*/run.json")]


def committed(folder: Path) -> int:
    """Cycles that stand in a folder."""
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def halfway(runs_dir: Path) -> list[Path]:
    """Cells with cycles that are not finished."""
    return [f for f in folders(runs_dir) if committed(f) and not (f / "summary.json").exists()]


def running() -> list[str]:
    """Jobs that are at work."""
    return ask("squeue", "--noheader", "--array", "--states=R", "--format=%i").split()


def kill(job: str) -> None:
    """Kill the processes of an array's job, 1_2: Slurm's own order may reach them only when they have ended."""
    marks = {b"SLURM_ARRAY_%s_ID=%s" % pair for pair in zip((b"JOB", b"TASK"), job.encode().split(b"_"), strict=True)}
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if marks <= {*path.read_bytes().split(b"\0")}:
                os.kill(int(path.parent.name), signal.SIGKILL)


def main(home: Path) -> None:
    """The whole story, asserted; one line of JSON at the end."""
    began, outputs, host = time.monotonic(), home / "outputs", socket.gethostname().split(".")[0]
    (home / "slurm").mkdir()
    with slurm(home / "slurm"):
        first = sweep(outputs, *THROUGH)
        until(lambda: sum((f / "summary.json").exists() for f in folders(outputs)) >= 2, "two cells", 300, first)
        until(lambda: halfway(outputs) and len(running()) >= 2, "two cells halfway", 300, first)
        shot = running()[:2]
        for job in shot:
            kill(job)
        ask("scancel", "--signal=KILL", "--full", *shot)
        stop(home / "slurm" / "slurmd.pid", signal.SIGKILL)
        torn = {folder: committed(folder) for folder in halfway(outputs)}
        time.sleep(2)
        subprocess.run(["slurmd", "-N", host], check=True)
        said = first.communicate(timeout=400)[0]
        done = {f: (f / "summary.json").stat().st_mtime_ns for f in folders(outputs) if (f / "summary.json").exists()}
        assert first.returncode == 1, f"jobs were killed, yet the command says {first.returncode}: {said}"
        assert CELLS - len(shot) <= len(done) < CELLS, said
        second = sweep(outputs, *THROUGH)
        said = second.communicate(timeout=400)[0]
        assert second.returncode == 0, said
        assert f"{CELLS} of {CELLS} done · 0 failed" in said, said
        assert f"{len(done)} reused" in said, said
    reference = sweep(home / "reference")
    assert reference.wait(timeout=400) == 0
    compare(outputs, home / "reference", done)
    found = {"cells": CELLS, "shot": shot, "torn": sorted(torn.values()), "reused": len(done)}
    print(json.dumps(found | {"seconds": round(time.monotonic() - began, 1)}))


def compare(outputs: Path, reference: Path, done: dict[Path, int]) -> None:
    """Every cell has the bytes of a sweep in one process, every cycle was committed once, done cells are untouched."""
    assert len(folders(outputs)) == len(folders(reference)) == CELLS
    for whole in folders(reference):
        folder = outputs / whole.relative_to(reference)
        for name in ("metrics.jsonl", "selections.csv"):
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), f"{folder / name} differs"
        log = re.findall(r"cycle (\d+) committed", (folder / "run.log").read_text())
        assert len(log) == len(set(log)), f"{folder} computed cycles twice: {log}"
        assert committed(folder) == len((folder / "costs.jsonl").read_text().splitlines()) == CYCLES, folder
    for folder, written in done.items():
        assert (folder / "summary.json").stat().st_mtime_ns == written, f"{folder} was done and is written again"


if __name__ == "__main__":
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid():
        print(f"left out: {', '.join(missing) + ' not found' if missing else 'only root can start the daemons'}")
        sys.exit(3)
    with tempfile.TemporaryDirectory(prefix="slurm_sweep_") as folder:
        Path(folder).chmod(0o755)  # munged is no root
        main(Path(folder))
