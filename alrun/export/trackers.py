"""A run in TensorBoard, MLflow or Weights & Biases, written from its files: at its end, or any time after."""

import fcntl
import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError
from ..identity import flat
from ..plots.files import PARTS, RunFiles

LONGEST = 500  # letters of a parameter's value that MLflow takes


def tensorboard(files: RunFiles, out: Path) -> Path:
    """An event file in `out`/<run>; the step is the number of labels."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder = out / title(files)
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier export wrote
    writer = EventFileWriter(str(folder))
    began = began_at(files)
    for line in files.rows:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in numbers(line).items()]
        writer.add_event(Event(wall_time=began, step=line["n_labelled"], summary=Summary(value=values)))
    writer.close()
    return folder


def mlflow(files: RunFiles, out: Path) -> Path:
    """A run in the store `out`, in the experiment of its dataset; one that was written before is replaced."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # cells of a sweep end at the same time
        client = MlflowClient(tracking_uri=f"sqlite:///{out.resolve() / 'mlflow.db'}")
        found = client.get_experiment_by_name(files.setting[0])
        experiment = found.experiment_id if found else client.create_experiment(files.setting[0])
        for old in client.search_runs([experiment], f"tags.alrun = '{files.folder.name}'"):
            client.delete_run(old.info.run_id)
        when = int(1000 * began_at(files))
        run = client.create_run(experiment, start_time=when, run_name=title(files)).info.run_id
        metrics = [Metric(k, v, when, line["n_labelled"]) for line in files.rows for k, v in numbers(line).items()]
        params = [Param(key, str(value)[:LONGEST]) for key, value in flat(files.config)]
        client.log_batch(run, tags=[RunTag("alrun", files.folder.name)])
        for first in range(0, len(metrics), 1000):
            client.log_batch(run, metrics=metrics[first : first + 1000])
        for first in range(0, len(params), 100):
            client.log_batch(run, params=params[first : first + 100])
        client.set_terminated(run, "FINISHED")
    return out


def wandb(files: RunFiles, out: Path) -> Path:
    """An offline run below `out`/wandb, for `wandb sync`; one that was written before is replaced."""
    import wandb as service

    out.mkdir(parents=True, exist_ok=True)
    for old in (out / "wandb").glob(f"offline-run-*-{files.folder.name}"):
        shutil.rmtree(old)
    run = service.init(
        mode="offline",
        dir=str(out),
        id=files.folder.name,
        name=title(files),
        project=files.setting[0],
        config=files.config,
        settings=service.Settings(silent=True, console="off", x_disable_stats=True, save_code=False),
    )
    for line in files.rows:
        run.log(numbers(line) | {"n_labelled": line["n_labelled"]})
    run.finish()
    return out / "wandb"


TRACKERS: dict[str, Callable[[RunFiles, Path], Path]] = {"tensorboard": tensorboard, "mlflow": mlflow, "wandb": wandb}


def track(name: str, folder: Path, out: Path) -> Path:
    """Write the run in `folder` for a tracker; where it went."""
    demand_tracker(name)
    return TRACKERS[name](RunFiles(folder), out)


def demand_tracker(name: str) -> None:
    """Raise UserError for a tracker that is not known or not installed."""
    if name not in TRACKERS:
        raise UserError(f"no tracker {name!r}", f"one of {', '.join(TRACKERS)}")
    if find_spec(name) is None:
        raise UserError(f"{name} is not installed", f"pip install 'alrun[{name}]'")


def title(files: RunFiles) -> str:
    """A run's path in short: strategy-budget/s0-1a2b3c4d, below dataset and model."""
    name = {part: files.config[part]["name"] for part in PARTS}
    middle = f"{name['encoder']}-{name['model']}/{name['strategy']}-{name['budget']}"
    return f"{name['dataset']}/{middle}/{files.folder.name}"


def numbers(line: dict) -> dict[str, float]:
    """The measured values of a cycle."""
    skipped = ("cycle", "n_labelled")
    return {k: float(v) for k, v in line.items() if k not in skipped and isinstance(v, int | float)}


def began_at(files: RunFiles) -> float:
    """When the run began, seconds since 1970; 0 where it does not say."""
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(str(files.facts.get("started"))).timestamp()
    return 0.0
