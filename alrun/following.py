"""The processes beside the main one: they wait, compute their part of what it shares, and are silent."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from . import registry
from .config import strict
from .encoders import cache
from .errors import RunFailed, UserError
from .gradients import passes
from .models.material import resolve_device
from .prepare import Prepared, prepare
from .processes import CREW, ROUND, Crew, Pass, joined, part
from .run import material


def in_company(command: Callable[[], Any]) -> None:
    """Do the command in the main process; in another one what the main process asks for, until it ends."""
    crew = joined()
    CREW.set(crew)
    if crew.rank:
        follow(crew)
        leave(0)
    code = 0
    try:
        command()
    except SystemExit as ending:  # how Typer ends, whatever happened
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    finally:
        crew.end()
    leave(code)


def leave(code: int) -> None:
    """End without taking anything apart: threads of gloo that are slow to go would abort the process then."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def follow(crew: Crew) -> None:
    """Answer the main process until it ends or is gone: then there is nothing left to do here, or to say."""
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.SIG_DFL)  # nothing can be lost here, and most of the time goes by in foreign code
    log = logging.getLogger("alrun")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    try:
        _serve(crew)
    except RuntimeError:  # gloo's own: the main process is gone
        leave(1)


def _serve(crew: Crew) -> None:
    helper: Helper | None = None
    work: Pass | Exception = RunFailed("nothing was begun")
    while (heard := crew.line.told())[0]["do"] != "end":
        message, tensors = heard
        if message["do"] == "run":
            helper = Helper(crew, message["about"])
        elif message["do"] == "round":
            crew.line.answer(*_answer(crew, work, message["first"]))
        else:
            assert helper is not None
            try:
                work = helper.work(message["do"], message["about"], tensors)
            except Exception as error:  # of any kind: the main process says it
                work = error
    crew.line.close()


def _answer(crew: Crew, work: Pass | Exception, first: int) -> tuple[Mapping[str, Any], Sequence[Tensor]]:
    """This process's part of a round, or why there is none."""
    try:
        if isinstance(work, Exception):
            raise work
        batches = work.batches[first : first + ROUND * crew.size]
        found = [work.compute(batches[at]) for at in part(len(batches), crew.rank, crew.size)]
    except Exception as error:  # of any kind: the main process says it
        return {"error": str(error) if isinstance(error, UserError | RunFailed) else repr(error)}, []
    return {"each": len(found[0]) if found else 0}, [tensor for tensors in found for tensor in tensors]


class Helper:
    """A run as a process beside the main one knows it: made ready when the first part of it is asked for."""

    def __init__(self, crew: Crew, about: Mapping[str, Any]) -> None:
        self._crew, self._about = crew, about
        crew.offers.clear()

    @cached_property
    def _prepared(self) -> Prepared:
        prepared = prepare(strict(OmegaConf.create(dict(self._about["run"]))))
        if cache.key(prepared.source, prepared.encoder) != self._about["features"]:
            raise RunFailed("its data or its encoder's weights differ from those of the main process")
        if prepared.run.threads:
            torch.set_num_threads(prepared.run.threads)
        return prepared

    def work(self, name: str, about: Mapping[str, Any], given: dict[str, Tensor]) -> Pass:
        """A pass that the main process has begun, as it looks from here."""
        run = self._prepared.run
        if name == "encode":
            return cache.encoding(self._prepared.encoder.start(str(resolve_device(run.device))), about["done"])
        offers = self._crew.offers
        if not offers:
            registry.build("model", run.model, run.plugins)(material(self._prepared, None))
        if name == "gradients":
            network = offers["network"](about["network"], {key: given.pop(key) for key in list(given) if "." in key})
            return passes.asked(network, about, given)
        return offers[name](about, given)
