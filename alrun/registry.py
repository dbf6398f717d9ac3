"""Names to functions. A function's keyword-only arguments are the schema of its options.

Strategies, models, encoders and dataset loaders are plain functions found in the folder of their kind, in the
files that `plugins=` names, and in installed packages that declare an `alrun.plugins` entry point.
"""

import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, make_dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, get_origin

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .errors import UserError, nearest

FOLDERS = {"strategy": "strategies", "model": "models", "encoder": "encoders", "dataset": "data"}
_found: dict[str, dict[str, Callable]] = {kind: {} for kind in FOLDERS}


def _add(kind: str, function: Callable) -> Callable:
    name = function.__name__.rstrip("_")
    other = _found[kind].get(name)
    if other is not None and (other.__module__, other.__qualname__) != (function.__module__, function.__qualname__):
        raise UserError(
            f"two {FOLDERS[kind]} are called {name!r}: in {other.__module__} and in {function.__module__}",
            "rename one of the two functions",
        )
    _found[kind][name] = function
    return function


def strategy(
    function: Callable | None = None,
    *,
    memory: Callable | None = None,
    expand: Callable | None = None,
    diagnostic: Callable | None = None,
    needs: Any = None,
    meaning: Callable | None = None,
) -> Callable:
    """Register an acquisition strategy; `memory(Size) -> bytes` is its peak above the features it is given.

    `diagnostic(options)` says whether it then asks for labels that nobody paid for: the run's name will tell.
    `needs` (needs.Declared) are compared with what the run offers before it begins.
    `meaning(options)` is a line on what its scores say, such as which sign is good: shown and logged with every run.

    One that calls others completes what its options say of them: `expand(options)`, so that a run's config says all.
    """
    if function is None:
        declared = {"memory": memory, "expand": expand, "diagnostic": diagnostic, "needs": needs, "meaning": meaning}
        return partial(strategy, **declared)
    function.memory, function.expand, function.meaning = memory, expand, meaning  # type: ignore[attr-defined]
    function.diagnostic, function.needs = diagnostic, needs  # type: ignore[attr-defined]
    return _add("strategy", function)


def model(
    function: Callable | None = None,
    *,
    memory: Callable | None = None,
    files: Callable | None = None,
    offers: Any = None,
) -> Callable:
    """Register a model: `(material, *, options) -> Learner`; `memory(kind of items, options) -> bytes` to train it.

    `files(kind of items, options)` gives name -> sha256 of the files that it starts from: a run goes on with no others.
    `offers` (needs.Declared) is what strategies may need of it; its options are then checked before a run begins.
    """
    if function is None:
        return partial(model, memory=memory, files=files, offers=offers)
    function.memory, function.files, function.offers = memory, files, offers  # type: ignore[attr-defined]
    return _add("model", function)


def encoder(function: Callable) -> Callable:
    """Register an encoder: `(source, *, options) -> Encoder`."""
    return _add("encoder", function)


def dataset(function: Callable) -> Callable:
    """Register a dataset loader: `(DatasetConfig) -> Source`."""
    return _add("dataset", function)


@cache
def _load(kind: str) -> None:
    package = importlib.import_module(f".{FOLDERS[kind]}", __package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    for point in importlib.metadata.entry_points(group="alrun.plugins"):
        point.load()


@cache
def _load_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"no plugin file {str(path)!r}", "plugins= takes paths of Python files")
    name = f"alrun_plugin_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{str(path)!r} is not a Python file", "plugins= takes paths of Python files")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        line = error.lineno if isinstance(error, SyntaxError) else place.lineno if place.filename == str(path) else None
        where = f"{path}, line {line}" if line else str(path)
        raise UserError(f"plugin {where}: {type(error).__name__}: {error}", "mend the file, or leave it out") from error


def config_dir() -> Path:
    """configs/ beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def option_file(group: str, name: str) -> Path:
    """A shipped config of a group."""
    return config_dir() / group / f"{name}.yaml"


def option(group: str, name: str) -> dict[str, Any]:
    """The values of a shipped config of a group."""
    values = OmegaConf.to_container(OmegaConf.load(option_file(group, name)))
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def find(kind: str, params: Mapping[str, Any], plugins: Sequence[str] = ()) -> Callable:
    """The function that `params` asks for: by `method`, or else by `name`."""
    _load(kind)
    for path in plugins:
        _load_file(Path(path).expanduser().resolve())
    name = params.get("method") or params.get("name")
    if name not in _found[kind]:
        raise UserError(
            f"no {kind} function is called {name!r}",
            f"one of {', '.join(sorted(_found[kind]))}",
            "your own: plugins=[FILE.py]",
        )
    return _found[kind][str(name)]


def options(kind: str, params: Mapping[str, Any], plugins: Sequence[str] = ()) -> dict[str, Any]:
    """The options in `params`, checked against the function's signature and complete; without name and method."""
    function = find(kind, params, plugins)
    label = params.get("name") or function.__name__
    try:
        arguments = inspect.signature(function, eval_str=True).parameters.values()
        bare = [p.name for p in arguments if p.kind is p.KEYWORD_ONLY and p.annotation is p.empty]
        if bare:
            raise TypeError(f"{bare[0]} has no type")
        fields = [
            (p.name, p.annotation, field(default=MISSING if p.default is p.empty else p.default))
            for p in arguments
            if p.kind is p.KEYWORD_ONLY
        ]
        schema = OmegaConf.structured(make_dataclass(str(label), fields))
    except (OmegaConfBaseException, NameError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the options of {kind} {label!r} cannot be read off its signature: {reason}",
            "each needs a type: int, float, bool, str, an enum, or a list of these",
        ) from error
    given = {key: value for key, value in params.items() if key not in ("name", "method")}
    for name, annotation, _ in fields:
        if get_origin(annotation) is list and isinstance(given.get(name), str | int | float):
            raise UserError(f"{kind}.{name}={given[name]} is no list", f"{kind}.{name}=[{given[name]}]")
    try:
        merged = OmegaConf.merge(schema, given)
        missing = sorted(OmegaConf.missing_keys(merged))
        checked = OmegaConf.to_container(merged)
    except OmegaConfBaseException as error:
        keys = [name for name, *_ in fields]
        unknown = [word for key in given if key not in keys for word in nearest(str(key), keys)]
        reason = str(error).splitlines()[0]
        raise UserError(f"{kind} {label!r}: {reason}", *unknown, f"its options: {', '.join(keys) or 'none'}") from error
    if missing:
        raise UserError(f"{kind} {label!r} has no value for {', '.join(missing)}", f"give one: {kind}.{missing[0]}=...")
    assert isinstance(checked, dict)
    complete = {str(key): value for key, value in checked.items()}
    expand = getattr(function, "expand", None)
    return expand(complete) if expand else complete


def _called(value: Any) -> Iterator[Mapping[str, Any]]:
    """The strategies that expanded options name."""
    if isinstance(value, dict) and "name" in value:
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _called(part)


def strategies(
    params: Mapping[str, Any], plugins: Sequence[str] = ()
) -> Iterator[tuple[str, Callable, dict[str, Any]]]:
    """Name, function and options of a strategy, then of those that it calls."""
    function, chosen = find("strategy", params, plugins), options("strategy", params, plugins)
    yield str(params.get("name") or function.__name__), function, chosen
    for part in _called(list(chosen.values())):
        yield from strategies(part, plugins)


def memory(params: Mapping[str, Any], size: Any, plugins: Sequence[str] = ()) -> int | None:
    """Bytes that a strategy says it takes, or the hungriest of those it calls; None where one does not say."""
    every = [getattr(function, "memory", None) for _, function, _ in strategies(params, plugins)]
    return None if None in every else max(own(size) for own in every if own)


def files(params: Mapping[str, Any], kind: str, plugins: Sequence[str] = ()) -> dict[str, str]:
    """Name -> sha256 of the files that a model of items of this kind starts from; empty where there are none."""
    own = getattr(find("model", params, plugins), "files", None)
    return dict(own(kind, options("model", params, plugins))) if own else {}


def diagnostic(params: Mapping[str, Any], plugins: Sequence[str] = ()) -> bool:
    """Whether a strategy, or one that it calls, asks for labels that nobody paid for."""
    every = [(getattr(function, "diagnostic", None), chosen) for _, function, chosen in strategies(params, plugins)]
    return any(own(chosen) for own, chosen in every if own)


def meanings(params: Mapping[str, Any], plugins: Sequence[str] = ()) -> list[str]:
    """What a strategy, and those that it calls, say of their scores; each once."""
    every = strategies(params, plugins)
    said = [f"{name}: {own(chosen)}" for name, function, chosen in every if (own := getattr(function, "meaning", None))]
    return list(dict.fromkeys(said))


def build(kind: str, params: Mapping[str, Any], plugins: Sequence[str] = ()) -> Callable:
    """The function with its options checked and bound."""
    return partial(find(kind, params, plugins), **options(kind, params, plugins))
