"""Everything about a run that can be known and refused before work begins."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from . import registry
from .budget import fit, initial_size, schedule
from .config import Run, anchored, check, run_path
from .data import load
from .data.instruct import readable
from .data.source import Chosen, Source
from .data.split import Dataset, split
from .encoders import cache, settle
from .encoders.encoder import Encoder
from .errors import UserError
from .loop import initial_set
from .models.material import Material, resolve_device
from .rehearsal import rehearse
from .rundir import RunDir
from .types import Part

WAYS = "--fresh starts it again", "with the files as they were it goes on"


@dataclass(frozen=True)
class Prepared:
    """A run whose data are loaded and whose budget fits; nothing is written yet."""

    run: Run
    source: Source
    dataset: Dataset
    batches: list[int]  # labels bought per acquisition
    start: torch.Tensor  # (i,) pool indices of the initial set
    encoder: Encoder
    folder: Path


def prepare(run: Run) -> Prepared:
    """Load the data and check everything that can be checked before work begins. Raises UserError."""
    run = anchored(run)
    if run.tracker:
        from .export import demand_tracker

        demand_tracker(run.tracker)
    source = load(run.dataset, run.plugins)
    if run.encoder["name"] == "auto":
        run = replace(run, encoder=settle(run.encoder, source.kind))
        check(run)
    dataset = split(source, run.dataset, run.seed)
    classes = len(source.classes)
    pool = len(dataset.pool)
    size = initial_size(run.budget, classes, pool)
    batches = fit(schedule(run.budget, classes, pool), size, pool, run.budget.clip)
    resolve_device(run.device)
    start = initial_set(run, dataset, size)
    # Its weights are loaded when they are needed.
    encoder = registry.build("encoder", run.encoder, run.plugins)(readable(source))
    runs_dir = Path(run.runs_dir)
    there = next(path for path in (runs_dir, *runs_dir.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"runs_dir={runs_dir} cannot be made: {there} is a file", "runs_dir=FOLDER")
    rehearse(run, bare(run, dataset), max(batches))
    return Prepared(run, source, dataset, batches, start, encoder, runs_dir / run_path(run))


def bare(run: Run, dataset: Dataset) -> Material:
    """The items of every part of the dataset and what a model is told of them, without features."""
    rows: dict[Part, np.ndarray] = {"pool": dataset.pool, "target": dataset.target, "test": dataset.test}
    source, device = dataset.source, resolve_device(run.device)
    return Material(
        features={},
        n_classes=dataset.n_classes,
        device=device,
        items={part: Chosen(source.items, index) for part, index in rows.items()},
        kind=source.kind,
        levels=None if source.levels is None else torch.from_numpy(source.levels).to(device),
    )


def load_run(folder: Path) -> Run:
    """The Run that config.yaml of a run folder describes. Raises UserError if it was changed by hand."""
    RunDir(folder).provenance()
    try:
        stored = OmegaConf.load(folder / "config.yaml")
        run = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Run), stored))
    except FileNotFoundError:
        raise UserError(f"{folder} has no config.yaml", "it is no run folder, or it was damaged") from None
    except (OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{folder / 'config.yaml'} cannot be read: {reason}", "--fresh starts the run again") from error
    assert isinstance(run, Run)
    check(run)
    if Path(run_path(run)).name != folder.name:
        raise UserError(
            f"{folder / 'config.yaml'} was changed by hand: it describes {Path(run_path(run)).name}",
            "undo the change, or start a new run: alrun run ...",
        )
    return run


def demand_same(prepared: Prepared, *, fresh: bool) -> None:
    """Refuse to continue a run on other data, features or weights, or in a folder of another run or a newer alrun."""
    home = RunDir(prepared.folder)
    before = home.provenance()
    if fresh:
        return
    if (home.path / "config.yaml").exists():
        load_run(home.path)
    known = before.get("fingerprint")
    if known and known != prepared.source.fingerprint:
        raise UserError(
            f"the data of {home.path} have changed since it began ({known[:8]} then, "
            f"{prepared.source.fingerprint[:8]} now)",
            "--fresh starts it again",
        )
    if home.begun():
        _demand_networks(prepared, before)


def _demand_networks(prepared: Prepared, before: Mapping[str, Any]) -> None:
    """Refuse other features or weights than those of the cycles before; older run folders do not name theirs."""
    folder, known = prepared.folder, before.get("features")
    now = cache.key(prepared.source, prepared.encoder)
    if known and known != now:
        raise UserError(
            f"the features of {folder} have changed since it began ({known[:8]} then, {now[:8]} now): "
            f"encoder {prepared.run.encoder['name']!r} reads other files, or reads them differently",
            *WAYS,
        )
    then = before.get("weights")
    if not then:
        return
    weights = weights_of(prepared)
    for name in sorted({*then, *weights}):
        if then.get(name) != weights.get(name):
            marks = [files[name][:8] if name in files else "absent" for files in (then, weights)]
            raise UserError(
                f"the model's files have changed since {folder} began: {name} ({marks[0]} then, {marks[1]} now)", *WAYS
            )


def weights_of(prepared: Prepared) -> dict[str, str]:
    """Name -> sha256 of the files that the model starts from; computed once per process."""
    return registry.files(prepared.run.model, prepared.source.kind, prepared.run.plugins)
