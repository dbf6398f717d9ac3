"""One run in one folder: lock, continue where it stopped, commit cycle by cycle, draw."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from . import asking, registry
from .config import Oracle, Run, plain
from .data.split import Dataset
from .encoders import cache
from .errors import RunFailed, UserError, Waiting
from .guard import logged, recorded
from .loop import cycles
from .maps import cached_map, run_map
from .metrics import area_under_curve
from .models.material import Material, resolve_device
from .plots.draw import draw_run
from .prepare import Prepared, bare, demand_same, load_run, prepare, weights_of
from .processes import crew
from .provenance import now, surroundings
from .reporter import Quiet
from .rundir import SCHEMA, Bought, RunDir
from .types import Cycle, Part

log = logging.getLogger("alrun")
FORMATS = ("png", "svg")
CURVES = ("test/accuracy", "test/balanced_accuracy", "test/macro_f1", "test/nll")
TOKENS = ("target/token_nll", "test/token_nll")
SOME_CURVES = ("target/nll", *TOKENS, "test/mae", "test/rmse", "test/qwk", "test/spearman")  # where a run has them


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    folder: Path
    reused: bool  # it was finished before
    seconds: float
    aulc: float | None  # area under the accuracy curve
    figures: list[Path]


def attempt(run: Run) -> float | None:
    """A cell of a sweep: its failure stands in its folder and does not stop the others.

    Its figures are drawn in one format: that is half of what a small run costs, and `alrun plot` draws the other.
    """
    try:
        return execute(prepare(run), Quiet(), formats=FORMATS[:1]).aulc
    except (RunFailed, UserError, Waiting):
        return None


def execute(prepared: Prepared, reporter: Quiet, *, fresh: bool = False, formats: Sequence[str] = FORMATS) -> Outcome:
    """Do what is missing of a run; a finished run is left as it is.

    Raises RunFailed when it cannot go on (its committed cycles are kept, run.log holds the traceback), UserError when
    the folder holds something else than this run, Waiting when people are to label a batch.
    """
    began = time.perf_counter()
    home = RunDir(prepared.folder)
    with home.lock():
        demand_same(prepared, fresh=fresh)
        if fresh:
            home.clear()
        done = home.repair()
        summary = home.summary()
        if prepared.run.save_models:
            _look_after(home, reporter)
        if summary is not None:
            return Outcome(home.path, True, 0.0, (summary.get("aulc") or {}).get("accuracy"), [])
        with logged(home.path), recorded(home):
            _begin(home, prepared)
            reporter.begin(prepared, done)
            for text in registry.meanings(prepared.run.strategy, prepared.run.plugins):
                log.info("%s", text)
                reporter.meaning(text)
            for text in prepared.source.warnings:
                reporter.note(text)
            crew().begin({"run": plain(prepared.run), "features": cache.key(prepared.source, prepared.encoder)})
            matrix, key = encode(prepared, reporter)
            _work(home, prepared, matrix, reporter)
            _map(home, prepared, matrix, key)
            figures = draw_run(home.path, formats)
            aulc = _finish(home, prepared, time.perf_counter() - began)
            if prepared.run.tracker:
                _track(home, prepared.run, reporter)
    outcome = Outcome(home.path, False, time.perf_counter() - began, aulc, figures)
    reporter.end(outcome)
    return outcome


def _look_after(home: RunDir, reporter: Quiet) -> None:
    """Say which models are not there as they should be."""
    if gone := home.without_model():
        reporter.note(f"{_counted(gone)} committed without a saved model: --fresh trains it again")
    if damaged := home.damaged_models():
        more = f" (and {len(damaged) - 1} more files of saved models)" if len(damaged) > 1 else ""
        reporter.note(f"{damaged[0]}{more}: --fresh trains the models again")


def _counted(cycles: Sequence[int]) -> str:
    some = ", ".join(map(str, cycles[:5])) + (", ..." if len(cycles) > 5 else "")
    return f"cycle {some} was" if len(cycles) == 1 else f"cycles {some} were"


def resume(folder: Path, reporter: Quiet) -> Outcome:
    """Finish an unfinished run from its folder alone."""
    prepared = prepare(load_run(folder))
    return execute(replace(prepared, folder=folder), reporter)


def _begin(home: RunDir, prepared: Prepared) -> None:
    """Write what the run is, before its first cycle."""
    run, dataset = prepared.run, prepared.dataset
    truth = dataset.source.labels
    initial = dataset.pool[prepared.start.numpy()]
    home.write("config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain(run))).encode())
    rows = {"pool": dataset.pool, "target": dataset.target, "test": dataset.test, "initial": initial}
    home.write_arrays("items.npz", rows | {f"{name}_label": truth[index] for name, index in rows.items()})
    before = home.provenance()
    facts = (
        {
            "schema": SCHEMA,
            "id": home.path.name,
            "started": before.get("started") or now(),
            "finished": None,
            "seconds": before.get("seconds") or 0.0,
        }
        | surroundings()
        | {
            "device": str(resolve_device(run.device)),
            "threads": torch.get_num_threads(),
            "processes": crew().size,
            "classes": list(dataset.source.classes),
            "labels": {"bought": sum(prepared.batches), "initial": len(initial), "target": len(dataset.target)},
            "diagnostic": registry.diagnostic(run.strategy, run.plugins),
            "warnings": list(prepared.source.warnings),
            "fingerprint": prepared.source.fingerprint,
            "features": cache.key(prepared.source, prepared.encoder),
            "batches": prepared.batches,
            "error": None,
        }
    )
    home.write_json("run.json", facts)
    weights = weights_of(prepared)  # they may have to be fetched, and that may fail
    home.write_json("run.json", facts | {"weights": weights})


def encode(prepared: Prepared, reporter: Quiet) -> tuple[np.ndarray, str]:
    """Features (n, F) of every item, memory-mapped, and their cache key; computed only if no run did it before."""
    run, source = prepared.run, prepared.source
    if run.threads:
        torch.set_num_threads(run.threads)
    device = str(resolve_device(run.device))
    matrix = cache.features(source, prepared.encoder, reporter.encoding, device=device, waiting=reporter.note)
    return matrix, cache.key(source, prepared.encoder)


def material(prepared: Prepared, matrix: np.ndarray | None) -> Material:
    """The features of every part of the dataset on the run's device; without a matrix the items alone."""
    dataset, found = prepared.dataset, bare(prepared.run, prepared.dataset)
    if matrix is None:
        return found
    rows: dict[Part, np.ndarray] = {"pool": dataset.pool, "target": dataset.target, "test": dataset.test}
    features = {part: _features(matrix, index).to(found.device) for part, index in rows.items()}
    return replace(found, features=features)


def _features(matrix: np.ndarray, index: np.ndarray) -> torch.Tensor:
    """(n, F) rows of the matrix where torch puts its tensors: sums depend on where in memory they begin."""
    found = torch.empty(len(index), matrix.shape[1])
    np.take(matrix, index, axis=0, out=found.numpy(), mode="clip")
    return found


def _work(home: RunDir, prepared: Prepared, matrix: np.ndarray, reporter: Quiet) -> None:
    """Train, evaluate, select and commit until the budget is spent."""
    run, dataset = prepared.run, prepared.dataset
    if len(home.metrics()) > len(prepared.batches):
        return
    people = run.oracle is Oracle.file
    if people and (settled := asking.settle(home, prepared.source)):
        log.info("cycle %d committed: %d labels", settled[0]["cycle"], settled[0]["n_labelled"])
        reporter.cycle(*settled)
    position = {int(row): index for index, row in enumerate(dataset.pool)}
    batches = home.selections()
    strange = [row for batch in batches for row in batch.rows if row not in position]
    if strange:
        raise UserError(
            f"{home.path / 'selections.csv'} names row {strange[0]}, which is not in the pool of this run",
            "--fresh starts it again",
        )
    if people:
        dataset = replace(dataset, answers=asking.answers(home, dataset))
    done = [torch.tensor([position[row] for row in batch.rows]) for batch in batches]
    mark = time.perf_counter()
    told = replace(material(prepared, matrix), report=reporter.working)
    for cycle in cycles(run, dataset, told, prepared.batches, prepared.start, done):
        bought = _bought(cycle, dataset)
        # From commit to commit, so that writing the cycle before counts: nothing a run does is left out.
        before, mark = mark, time.perf_counter()
        costs = dict(cycle.costs) | {"total_s": round(mark - before, 6)}
        if people and cycle.selection is not None:
            asking.hold(home, prepared.source, cycle, costs, np.array(bought.rows))
            return _work(home, prepared, matrix, reporter)
        home.commit(cycle.index, cycle.metrics, costs, bought, cycle.predictions, cycle.files)
        log.info("cycle %d committed: %d labels", cycle.index, cycle.metrics["n_labelled"])
        reporter.cycle(dict(cycle.metrics), costs)


def _map(home: RunDir, prepared: Prepared, matrix: np.ndarray, key: str) -> None:
    """Where the run's items lie on the map that all runs on these features share."""
    if (home.path / "map.npz").exists():
        return
    source, dataset = prepared.source, prepared.dataset
    bought = [row for batch in home.selections() for row in batch.rows]
    shown = np.array([*dataset.pool[prepared.start.numpy()], *bought], dtype=np.int64)
    whole = cached_map(cache.root() / "maps", key, matrix, source.labels, source.train)
    labels = source.labels.copy()
    if prepared.run.oracle is Oracle.file:  # on the map stands what people said
        labels[dataset.pool] = asking.answers(home, dataset)
    home.write_arrays("map.npz", run_map(whole, matrix, labels, dataset.pool, shown))


def _bought(cycle: Cycle, dataset: Dataset) -> Bought:
    if cycle.selection is None:
        return Bought([], [], [])
    scores = cycle.selection.scores.double().tolist()
    return Bought(
        rows=dataset.pool[cycle.selection.indices.cpu().numpy()].tolist(),
        labels=cycle.bought.tolist(),
        scores=[None if score != score else score for score in scores],
    )


def _finish(home: RunDir, prepared: Prepared, seconds: float) -> float | None:
    """Write the summary and close run.json; the area under the accuracy curve."""
    lines = home.metrics()
    counts = [line["n_labelled"] for line in lines]
    drawn = [*CURVES, *(name for name in SOME_CURVES if lines[-1].get(name) is not None)]
    curves = {name: np.array([line.get(name) for line in lines], dtype=object) for name in drawn}
    areas = {name.removeprefix("test/"): area_under_curve(counts, curve) for name, curve in curves.items()}
    provenance = home.provenance()
    home.write_json(
        "summary.json",
        {
            "aulc": areas,
            "final": {name.removeprefix("test/"): lines[-1][name] for name in drawn},
            "labels": provenance["labels"] | {"bought": counts[-1] - counts[0], "points": counts},
        },
    )
    home.write_json(
        "run.json",
        provenance | {"finished": now(), "seconds": round(provenance["seconds"] + seconds, 3), "error": None},
    )
    return areas["accuracy"]


def _track(home: RunDir, run: Run, reporter: Quiet) -> None:
    """Tell a tracker of a finished run; that it cannot be told does not unmake the run."""
    from .export import track

    assert run.tracker is not None
    try:
        track(run.tracker, home.path, Path(run.runs_dir) / run.tracker)
    except Exception as error:  # its own, of any kind
        log.exception("%s was not told", run.tracker)
        reporter.note(f"{run.tracker} was not told ({error}): alrun export {home.path} --format {run.tracker}")


def unfinished(folders: Sequence[Path]) -> list[Path]:
    """Those that a resume would continue."""
    return [folder for folder in folders if RunDir(folder).status() in ("failed", "killed", "asking")]
