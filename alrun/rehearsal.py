"""A model and a strategy are tried on nothing before a run begins: what they would refuse later is refused now."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NoReturn

from . import registry
from .config import Run
from .errors import UserError
from .models.material import Material
from .needs import Need, refusal, settled


class _Begun(Exception):
    """Options are checked, and work would begin."""


class _Unseen:
    """A view that nothing is seen of."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _Begun


def _begin() -> NoReturn:
    raise _Begun


def rehearse(run: Run, material: Material, batch: int) -> None:
    """Refuse options that make no sense, and strategies that this model or these data cannot serve. Raises UserError.

    `material` has items and no features. What a plugin does not declare is left to the run itself.
    """
    offered = _model(run, material)
    if run.save_models and Need.saving not in offered:
        raise refusal(Need.saving, f"model {run.model['name']!r}")
    for name, function, options in registry.strategies(run.strategy, run.plugins):
        needs = getattr(function, "needs", None)
        if needs is not None:
            _strategy(name, partial(function, **options), batch)
            missing = settled(needs, options) - offered
            if missing:
                raise refusal(min(missing, key=list(Need).index), f"strategy {name!r}", offered)


def _model(run: Run, material: Material) -> set[Need]:
    """What it offers on this material; a model that does not say is taken to offer everything."""
    offers = getattr(registry.find("model", run.model, run.plugins), "offers", None)
    offered = set(Need)
    if offers is not None:
        with suppress(_Begun):
            registry.build("model", run.model, run.plugins)(replace(material, begin=_begin))
        offered = {Need.answers, Need.target, *settled(offers, registry.options("model", run.model, run.plugins))}
    absent = {Need.answers if material.answered else Need.completions}
    return offered - absent if len(material.items["target"]) else offered - absent - {Need.target}


def _strategy(name: str, strategy: Callable, batch: int) -> None:
    """Call it until it looks at the view: options are checked before that."""
    try:
        with suppress(_Begun):
            strategy(_Unseen(), batch)
    except UserError as error:
        raise UserError(f"strategy {name!r}: {error.message}", *error.hints) from error
