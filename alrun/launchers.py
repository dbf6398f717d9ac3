"""Where the runs of a sweep are computed: here, in processes of this machine, in a Slurm queue, on a Ray cluster.

Every launcher gives the same checked runs to the same `attempt`, and returns when none of them is at work any more.
None of them reports back: what became of a run is read from its folder, whoever computed it.
"""

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from .config import Run
from .errors import UserError

Launcher = Callable[[Sequence[Run], Mapping[str, Any]], None]
POLL_S = 0.5, 15.0  # first and longest pause between two looks at a queue


def in_process(runs: Sequence[Run], options: Mapping[str, Any]) -> None:
    """One after another, in this process."""
    from .run import attempt

    for run in runs:
        attempt(run)


def joblib(runs: Sequence[Run], options: Mapping[str, Any]) -> None:
    """In `n_jobs` processes of this machine."""
    from joblib import Parallel, delayed

    from .run import attempt

    Parallel(**options)(delayed(attempt)(run) for run in runs)


class Requeued:
    """A run as submitit sees it: preempted or out of time, it goes back into the queue and continues its folder."""

    def __call__(self, run: Run) -> None:
        from .run import attempt

        attempt(run)

    def checkpoint(self, run: Run) -> Any:
        """What is put into the queue again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, run)


def submitit_local(runs: Sequence[Run], options: Mapping[str, Any]) -> None:
    """A process and a log for each run, as many at once as this machine has cores for."""
    executor = _executor("local", options)
    limit = max(1, (os.cpu_count() or 1) // (options.get("cpus_per_task") or 1))
    jobs: list[Any] = []
    try:
        for run in _portable(runs):
            while sum(not job.done() for job in jobs) >= limit:
                time.sleep(POLL_S[0])
            jobs.append(executor.submit(Requeued(), run))
        while not all(job.done() for job in jobs):
            time.sleep(POLL_S[0])
    except BaseException:
        for job in jobs:
            job.cancel()
        raise


def submitit_slurm(runs: Sequence[Run], options: Mapping[str, Any]) -> None:
    """One job array in a Slurm queue. Interrupted, the command goes and the jobs stay."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UserError("there is no Slurm here: sbatch and srun are not found", "hydra/launcher=submitit_local, or -j")
    executor = _executor("slurm", options)
    try:
        jobs = executor.map_array(Requeued(), _portable(runs))
    except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
        reason = [line for line in str(error).splitlines() if line.strip()] or ["no reason given"]
        raise UserError(
            f"Slurm refused the jobs: {reason[-1].strip()}", "the options are below hydra.launcher"
        ) from error
    left, pause = {job.job_id: job for job in jobs}, POLL_S[0]
    try:
        while left:
            time.sleep(pause)
            pause = min(POLL_S[1], 1.2 * pause)
            queued = _queued()
            left = {name: job for name, job in left.items() if queued is None or name in queued}
    except KeyboardInterrupt:
        number = next(iter(left), "").partition("_")[0]
        raise KeyboardInterrupt(f"{len(left)} jobs stay in the queue: scancel {number} takes them out") from None


def _queued() -> set[str] | None:
    """The jobs of this user that wait or run, or None where the queue does not answer.

    The queue is asked and not the accounting, which many clusters do not have: there a job that was killed would be
    waited for without end.
    """
    asked = ["squeue", "--noheader", "--array", "--format=%i", f"--user={getpass.getuser()}"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
    except (subprocess.SubprocessError, OSError):
        return None
    return {line.strip() for line in answer.stdout.splitlines()}


def _executor(cluster: str, options: Mapping[str, Any]) -> Any:
    """submitit's executor with the options of hydra.launcher, as its Hydra plugin sets them."""
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    folder = Path(options["submitit_folder"]).absolute()
    first = {f"{cluster}_max_num_timeout": options["max_num_timeout"]} if "max_num_timeout" in options else {}
    executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **first)
    common = set(BaseQueueConf.__dataclass_fields__)
    more = {key: value for key, value in options.items() if key not in ("submitit_folder", "max_num_timeout")}
    executor.update_parameters(**{key if key in common else f"{cluster}_{key}": value for key, value in more.items()})
    return executor


def ray(runs: Sequence[Run], options: Mapping[str, Any]) -> None:
    """A Ray task for each run; a task whose worker dies is started again, and continues."""
    try:
        import ray as cluster
    except ImportError as error:
        raise UserError("ray is not installed", "pip install 'alrun[ray]'") from error
    from .run import attempt

    asked = options["ray"]
    here = not cluster.is_initialized()
    if here:
        quiet = {"log_to_driver": False, "logging_level": "error", "configure_logging": True}
        local = {} if "address" in asked["init"] else {"include_dashboard": False}
        cluster.init(**{**quiet, **local, **asked["init"]})
    try:
        task = cluster.remote(attempt).options(**asked["remote"])
        for handle in [task.remote(run) for run in _portable(runs)]:
            with suppress(cluster.exceptions.RayError):
                cluster.get(handle)
    finally:
        if here:
            cluster.shutdown()


def _portable(runs: Sequence[Run]) -> list[Run]:
    """The runs as another process wants them, which may start in another folder."""
    return [replace(run, runs_dir=str(Path(run.runs_dir).absolute())) for run in runs]


LAUNCHERS: dict[str, Launcher] = {
    "basic": in_process,
    "joblib": joblib,
    "submitit_local": submitit_local,
    "submitit_slurm": submitit_slurm,
    "ray": ray,
}
