"""The schema of one run, and the checks that a schema cannot express.

One run = dataset x encoder x model x strategy x budget x seed. Dataset and budget have the fixed options below;
encoders, models and strategies bring their own (see registry.py).
"""

import json
import math
import re
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from . import registry
from .errors import UNSET, UserError, explain
from .identity import YOUNGER
from .registry import config_dir as config_dir
from .registry import option as option
from .registry import option_file as option_file

IDENTITY = ("dataset", "encoder", "model", "strategy", "budget", "seed")
# Behind the name of a strategy that sees labels nobody paid for, and so in the folder, every table and every legend.
DIAGNOSTIC = "+oracle-labels"


class Initial(StrEnum):
    """How the labels before the first cycle are drawn."""

    none = "none"
    random = "random"
    one_per_class = "one_per_class"


class Task(StrEnum):
    """What labels are."""

    classification = "classification"  # names of classes
    ordinal = "ordinal"  # numbers on a scale, whose levels are the classes


class Oracle(StrEnum):
    """Who answers for the items that are bought."""

    dataset = "dataset"  # its labels
    file = "file"  # people, in a file between cycles


class Unit(StrEnum):
    """What budgets count in."""

    classes = "classes"
    labels = "labels"
    percent = "percent"  # of the pool, rounded down


@dataclass
class Goal:
    """The task that instruction data are chosen for: its train rows give the target split, its test rows the test."""

    path: str | None = None  # the six as in DatasetConfig
    config: str | None = None
    revision: str | None = None
    train: str | None = None
    test: str | None = None
    label: str | None = None
    prompt: str | None = None
    completion: str | None = None
    options: Any = None
    rows: int | None = None  # a fixed random part of its test rows


@dataclass
class DatasetConfig:
    """Where the items come from, and the options every dataset has."""

    name: str = "???"
    method: str | None = None  # the loader, where it is not called like the dataset
    # -- for files and hub
    path: str | None = None  # hub: name of the dataset
    config: str | None = None  # hub: its configuration
    revision: str | None = None  # hub: commit, tag or branch
    train: str | None = None  # a file, or the name of a split
    test: str | None = None  # a file, the name of a split, or a fraction of the train rows
    input: Any = None  # one column, or a list: two texts are a pair, numbers a row; an array's name in an NPZ
    label: str | None = None
    test_input: str | None = None  # NPZ: where both splits are in one file
    test_label: str | None = None
    # -- for instructions: texts with {columns} in braces
    prompt: str | None = None
    completion: str | None = None  # where the data have it
    options: Any = None  # else what may be said: a list, or a column of lists; `label` is the right one
    goal: Goal | None = None  # another dataset to be good at; None: the pool's own test split
    # -- for every dataset
    task: Task = Task.classification
    bins: int | None = None  # ordinal: levels by quantiles of the train labels instead of each number its own
    pool: int | None = None  # a seeded random part of the pool
    target: int = 5  # labelled items per class that are known from the start and never queried
    imbalance: float = 1.0  # long tail: the largest class is this many times the smallest
    label_noise: float = 0.0  # share of the oracle's answers that are wrong
    unlabelled: bool = False  # train rows may have no label; set by oracle=file


@dataclass
class Phase:
    """`cycles` acquisitions of `labels` each."""

    labels: int = 0
    cycles: int = 0


@dataclass
class BudgetConfig:
    """How many labels, when."""

    name: str = "???"
    phases: list[Phase] = field(default_factory=list)
    unit: Unit = Unit.classes
    initial: Initial = Initial.none
    initial_labels: int = 0
    clip: bool = False  # stop when the pool is used up instead of refusing


@dataclass
class Run:
    """Everything one run is made of."""

    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    encoder: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    strategy: dict[str, Any] = field(default_factory=dict)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    seed: int = 0
    oracle: Oracle = Oracle.dataset
    plugins: list[str] = field(default_factory=list)
    # what cannot change a number
    runs_dir: str = "outputs"
    save_models: bool = False  # keep what each cycle trained, in models/ of the run folder
    device: str = "auto"
    threads: int | None = None
    tracker: str | None = None  # tensorboard, mlflow or wandb: written from the files when the run ends


def strict(cfg: DictConfig) -> Run:
    """A composed config as a Run: every key known, every type right, every option of every part filled in."""
    try:
        plain = OmegaConf.to_container(cfg, resolve=True)
        assert isinstance(plain, dict)
        run = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Run), plain))
    except OmegaConfBaseException as error:
        if UNSET.search(str(error)):
            raise explain(error, ()) from error
        raise UserError(str(error).splitlines()[0], "alrun run --cfg shows every key") from error
    assert isinstance(run, Run)
    check(run)
    return run


def check(run: Run) -> None:
    """Raise UserError for values that are typed right and still make no sense; fill in the options of each part."""
    for kind in ("encoder", "model", "strategy"):
        part = getattr(run, kind)
        if not part.get("name"):
            raise UserError(f"{kind} has no name", f"choose one: {kind}=...")
        if kind == "encoder" and part["name"] == "auto":
            continue  # settled when the data are known
        named = {key: part[key] for key in ("name", "method") if part.get(key)}
        values = registry.options(kind, part, run.plugins)
        lost = [key for key, value in values.items() if value != value]
        _demand(not lost, f"{kind}.{', '.join(lost)} is nan, which is no number", f"alrun show {kind}/{part['name']}")
        setattr(run, kind, named | values)
    if registry.diagnostic(run.strategy, run.plugins) and not run.strategy["name"].endswith(DIAGNOSTIC):
        called = {
            "name": run.strategy["name"] + DIAGNOSTIC,
            "method": run.strategy.get("method") or run.strategy["name"],
        }
        run.strategy = run.strategy | called
    dataset, budget = run.dataset, run.budget
    if dataset.goal == Goal():
        dataset.goal = None
    if run.oracle is Oracle.file:
        _check_people(run)
    dataset.unlabelled = run.oracle is Oracle.file
    _demand(run.seed >= 0, f"seed={run.seed} is negative", "seed=0 or more")
    _demand(run.threads is None or run.threads >= 1, f"threads={run.threads} is below 1", "threads=1 or more")
    _demand(
        dataset.bins is None or (dataset.task == Task.ordinal and dataset.bins >= 2),
        f"dataset.bins={dataset.bins} with dataset.task={dataset.task}",
        "dataset.task=ordinal and 2 bins or more",
    )
    rows = dataset.goal.rows if dataset.goal else None
    _demand(rows is None or rows >= 1, f"dataset.goal.rows={rows} tests on nothing", "dataset.goal.rows=100, say")
    _demand(dataset.pool is None or dataset.pool >= 1, f"dataset.pool={dataset.pool} is below 1", "leave it out")
    _demand(dataset.target >= 0, f"dataset.target={dataset.target} is negative", "dataset.target=0 for no target set")
    _demand(
        1 <= dataset.imbalance < math.inf,
        f"dataset.imbalance={dataset.imbalance} is below 1",
        "1 leaves classes as they are",
    )
    _demand(0 <= dataset.label_noise < 1, f"dataset.label_noise={dataset.label_noise} is not a share", "0 <= share < 1")
    _demand(bool(budget.phases), "the budget has no phases", "budget.phases=[{labels: 2, cycles: 5}]")
    for phase in budget.phases:
        shown = f"a phase of {phase.labels} labels and {phase.cycles} cycles"
        _demand(phase.labels >= 1 and phase.cycles >= 1, f"{shown} buys nothing", "both must be 1 or more")
    if budget.initial is Initial.random:
        _demand(budget.initial_labels >= 1, "budget.initial=random draws 0 labels", "budget.initial_labels=2, say")
    else:
        _demand(
            budget.initial_labels == 0,
            f"budget.initial_labels={budget.initial_labels} is not used with budget.initial={budget.initial}",
            "budget.initial=random",
        )


def _check_people(run: Run) -> None:
    """Nothing may need a label that nobody has given yet."""
    dataset, budget = run.dataset, run.budget
    hint = "with oracle=file only what was bought has a label"
    _demand(
        budget.initial is Initial.none, f"budget.initial={budget.initial} draws labels before the first batch", hint
    )
    _demand(dataset.imbalance == 1, f"dataset.imbalance={dataset.imbalance:g} needs the labels of the pool", hint)
    _demand(dataset.label_noise == 0, f"dataset.label_noise={dataset.label_noise:g} needs the labels of the pool", hint)
    _demand(dataset.task is Task.classification, f"oracle=file asks for classes, not dataset.task={dataset.task}", hint)
    _demand(dataset.goal is None, "oracle=file asks for classes: dataset.goal has none", hint)
    diagnostic = registry.diagnostic(run.strategy, run.plugins)
    _demand(not diagnostic, f"strategy={run.strategy['name']} asks for labels that nobody gave", hint)


def anchored(run: Run) -> Run:
    """The run with the files it names as absolute paths: a resume may start in another folder."""

    def absolute(value: Any) -> Any:
        named = isinstance(value, str) and value and Path(value).expanduser().exists()
        return str(Path(value).expanduser().resolve()) if named else value

    files = ("path", "train", "test")
    data = {key: absolute(getattr(run.dataset, key)) for key in files}
    if run.dataset.goal is not None:
        data["goal"] = replace(run.dataset.goal, **{key: absolute(getattr(run.dataset.goal, key)) for key in files})
    encoder = {key: absolute(value) if key.endswith("path") else value for key, value in run.encoder.items()}
    model = {key: absolute(value) if key.endswith("path") else value for key, value in run.model.items()}
    plugins = [absolute(path) for path in run.plugins]
    return replace(run, dataset=replace(run.dataset, **data), encoder=encoder, model=model, plugins=plugins)


def _demand(true: bool, message: str, *hints: str) -> None:
    if not true:
        raise UserError(message, *hints)


def plain(run: Run) -> dict[str, Any]:
    """The run as nested dicts, lists and scalars."""
    return json.loads(json.dumps(asdict(run)))


def run_path(run: Run) -> str:
    """dataset/encoder-model/strategy-budget/s<seed>-<hash of every value that can change a number>."""
    values = plain(run)
    for key, value in YOUNGER.items():
        if values["dataset"][key] == value:
            del values["dataset"][key]
    identity = json.dumps({key: values[key] for key in IDENTITY}, sort_keys=True)
    digest = sha256(identity.encode()).hexdigest()[:8]
    name = {key: values[key]["name"] for key in ("dataset", "encoder", "model", "strategy", "budget")}
    for kind, text in name.items():
        _demand(
            bool(re.fullmatch(r"\w[\w.+-]{0,99}", text)),
            f"{kind} name {text!r} cannot be part of a path",
            "letters, digits, - and _",
        )
    folder = f"{name['dataset']}/{name['encoder']}-{name['model']}/{name['strategy']}-{name['budget']}"
    return f"{folder}/s{run.seed}-{digest}"
