"""What strategies need that not every run offers: declared with them, and refused in these words alone."""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum, auto
from typing import Any

from .errors import UserError
from .types import Scope


class Need(StrEnum):
    """What a strategy may need of the model or of the data, beyond features, outputs and embeddings."""

    answers = auto()  # pool items whose labels are open: what the model answers says something
    target = auto()  # a target split that is not empty
    completions = auto()  # pool items that come with their completions, and a model that reads them
    head = auto()  # a linear last layer
    gradients_head = auto()  # gradients in the parameters of a scope
    gradients_last_block = auto()
    gradients_lora = auto()
    gradients_all = auto()
    shares = auto()  # gradients of losses averaged over labels
    adam = auto()  # Adam's moments
    checkpoints = auto()  # the model at several points of its training
    saving = auto()  # files that the model can be loaded from


LAST_LAYER = (Need.head, Need.gradients_head, Need.shares)  # what any linear last layer offers
Declared = Collection[Need] | Callable[[Mapping[str, Any]], Collection[Need]]  # the latter depends on the options


def gradients(scope: Scope) -> Need:
    """Gradients in the parameters of a scope."""
    return Need(f"gradients_{scope}")


def settled(declared: Declared, options: Mapping[str, Any]) -> frozenset[Need]:
    """What is declared, with these options."""
    return frozenset(declared(options) if callable(declared) else declared)


WORDS: dict[Need, tuple[str, ...]] = {
    Need.answers: (
        "goes by the model's answers to pool items, and these come with their completions: there is nothing to be "
        "uncertain of",
        "strategy=perplexity, token_entropy, less_instruct, badge_lora or random",
    ),
    Need.target: ("needs a target split, and dataset.target=0 leaves it empty", "dataset.target=5"),
    Need.completions: (
        "asks how well completions are predicted, and these pool items come without them",
        "dataset=instruct with model=causal_lm",
    ),
    Need.head: ("asks for a linear last layer, and this model has none", "model=linear"),
    Need.shares: (
        "averages over labels, which needs labels that are classes: here they are texts",
        "strategy.label=argmax",
    ),
    Need.adam: (
        "asks for Adam moments (update=adam or update=adam_linear), and this model keeps none",
        "model=transformer",
        "strategy.update=sgd",
    ),
    Need.checkpoints: (
        "asks for checkpoints of the training (trajectory=checkpoints), and this model keeps none",
        "model=transformer",
        "strategy.trajectory=last",
    ),
    Need.saving: ("cannot be kept, as save_models=true asks", "save_models=false: a run trains it again in an instant"),
}


def refusal(need: Need, who: str = "a strategy", offered: Collection[Need] = ()) -> UserError:
    """That somebody needs what is not among what is offered."""
    what, *ways = WORDS[need] if need in WORDS else _no_gradients(need, offered)
    return UserError(f"{who} {what}", *ways)


def _no_gradients(need: Need, offered: Collection[Need]) -> tuple[str, ...]:
    scope = need.removeprefix("gradients_")
    asked, there = f"asks for gradients of {scope!r}, and", [scope for scope in Scope if gradients(scope) in offered]
    if not there:
        return f"{asked} this model has no layer to take them of", "model=transformer"
    if there == [Scope.head]:
        return f"{asked} this model has its last layer alone", "model=transformer", "strategy.scope=head"
    if Scope.head not in there:
        return f"{asked} this model trains its adapters alone", "strategy.scope=lora"
    ways = "model.train=lora" if scope == Scope.lora else "model.train=lora or model.train=full"
    return f"{asked} nothing of it is trained", ways
