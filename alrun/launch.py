"""The only module that talks to Hydra: composing, listing options, expanding and launching sweeps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from .config import Run, config_dir, strict
from .errors import UserError, explain
from .launchers import LAUNCHERS
from .processes import crew

ConfigStore.instance().store(name="schema", node=Run)


@dataclass(frozen=True)
class Cell:
    """One point of a sweep; a single run is a sweep of one."""

    overrides: tuple[str, ...]
    run: Run


@contextmanager
def session(overrides: Sequence[str] = ()) -> Iterator:
    """Hydra, ready; its exceptions leave as UserError, with near names from what `overrides` choose."""
    with hydra.initialize_config_dir(str(config_dir()), job_name="alrun", version_base="1.3"):
        try:
            yield GlobalHydra.instance().hydra
        except (
            HydraException,
            OmegaConfBaseException,
            YAMLError,
            ValueError,
        ) as error:  # the last: group=3
            raise explain(error, _known(overrides)) from error


def _known(overrides: Sequence[str]) -> list[str]:
    """The dotted keys that can be set once the groups are chosen as asked."""
    choices = [o for o in overrides if "." not in o.partition("=")[0] and "," not in o]
    for asked in (choices, []):
        with suppress(HydraException, OmegaConfBaseException, ValueError):
            return list(keys(hydra.compose("config", asked)))
    return []


def keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a config."""
    for key in map(str, cfg):
        yield prefix + key
        if OmegaConf.is_dict(OmegaConf.select(cfg, key)):
            yield from keys(cfg[key], f"{prefix}{key}.")


def complete(overrides: Sequence[str], extra: Path | None) -> list[str]:
    """The overrides as Hydra wants them: `+experiment=` is `experiment=`, an extra folder is on the search path."""
    found = [f"hydra.searchpath=['file://{extra.resolve()}']"] if extra else []
    return found + [o.removeprefix("+") if o.startswith("+experiment=") else o for o in overrides]


def compose(overrides: Sequence[str], extra: Path | None = None, with_hydra: bool = False) -> DictConfig:
    """The composed config. Raises UserError for what Hydra refuses."""
    with session(complete(overrides, extra)):
        return hydra.compose("config", complete(overrides, extra), return_hydra_config=with_hydra)


def options(extra: Path | None = None) -> dict[str, list[str]]:
    """Config group -> its options."""
    with session() as app:

        def ask(group: str, kind: ObjectType) -> list[str]:
            return app.config_loader.get_group_options(group, kind, "config", complete([], extra))

        return {g: ask(g, ObjectType.CONFIG) for g in ask("", ObjectType.GROUP) if g != "hydra"}


def cells(overrides: Sequence[str], *, multirun: bool, extra: Path | None = None) -> list[Cell]:
    """Every run that a command asks for, each checked, before anything is computed."""
    if not multirun:
        return [Cell(tuple(overrides), strict(compose(overrides, extra)))]
    with session(complete(overrides, extra)) as app:
        base = [o for o in complete(overrides, extra) if o.startswith(("hydra.", "hydra/", "experiment="))]
        params = hydra.compose("config", base, return_hydra_config=True).hydra.sweeper.get("params") or {}
        asked = [*(f"{key}={value}" for key, value in params.items()), *complete(overrides, extra)]
        parsed = OverridesParser.create(config_loader=app.config_loader).parse_overrides(asked)
        try:
            points = BasicSweeper.split_arguments(parsed, None)[0]
        except TypeError as error:  # Hydra's glob on a quoted pattern
            raise UserError(
                f"a list of the sweep cannot be read: {error}", "glob(...) takes patterns without quotes"
            ) from error
        found = {}
        for point in points:
            run = strict(hydra.compose("config", list(point)))
            found[repr(run)] = Cell(tuple(point), run)
    if not found:
        raise UserError(f"the sweep has no runs: {' '.join(overrides)}", "give every list at least one value")
    return list(found.values())


def wants_sweep(overrides: Sequence[str], extra: Path | None = None) -> bool:
    """Whether an experiment file among the overrides asks for a sweep."""
    experiments = [o for o in overrides if o.startswith(("experiment=", "+experiment=", "hydra.mode="))]
    if not experiments:
        return False
    mode = compose(experiments, extra, with_hydra=True).hydra.mode
    return mode is not None and mode.name == "MULTIRUN"


def job(cfg: DictConfig) -> float | None:
    """What a launcher or sweeper of another package runs: one run in its own folder."""
    from .run import attempt

    with open_dict(cfg):
        cfg.pop("hydra", None)
    return attempt(strict(cfg))


def sweep(overrides: Sequence[str], extra: Path | None, runs: Sequence[Run]) -> None:
    """Compute `runs`, the unfinished points of a sweep, where hydra/launcher says.

    A launcher or a sweeper that is not ours gets the overrides, as in any application of Hydra.
    """
    asked = [*complete(overrides, extra), "hydra.mode=MULTIRUN"]
    with session(asked) as app:
        hydra_cfg = app.compose_config(
            config_name="config", overrides=asked, run_mode=RunMode.MULTIRUN, with_log_configuration=False
        ).hydra
        choices = hydra_cfg.runtime.choices
        if choices["hydra/launcher"] != "basic" and crew().size > 1:
            raise UserError(
                f"hydra/launcher={choices['hydra/launcher']} starts processes, and accelerate launch has started "
                f"{crew().size}",
                "without a launcher or --jobs the runs follow one another, each on all processes",
            )
        launcher = LAUNCHERS.get(choices["hydra/launcher"])
        if launcher is None or choices["hydra/sweeper"] != "basic":
            app.multirun("config", job, asked)
            return
        options = OmegaConf.to_container(hydra_cfg.launcher, resolve=True)
    assert isinstance(options, dict)
    launcher(runs, {str(key): value for key, value in options.items() if key != "_target_"})


def plugins() -> dict[str, list[str]]:
    """Names of the Hydra launchers and sweepers found in this environment."""

    def names(kind: type) -> list[str]:
        return sorted(found.__name__ for found in Plugins.instance().discover(kind))

    return {"launchers": names(Launcher), "sweepers": names(Sweeper)}


def show(overrides: Sequence[str], extra: Path | None = None) -> str:
    """The composed config as YAML."""
    cfg = compose(overrides, extra)
    strict(cfg)
    return OmegaConf.to_yaml(cfg)
