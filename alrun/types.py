"""The nouns everyone shares: what a strategy sees, what it returns, what a run writes."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from torch import Tensor

# Shape letters used everywhere: N pool, u unlabelled, l labelled, v target, t test, n chosen or any,
# C classes, F encoder features, D model embeddings.

Part = Literal["pool", "target", "test"]


class Head(NamedTuple):
    """A linear last layer: logits = embeddings @ weight.T + bias."""

    weight: Tensor  # (C, D)
    bias: Tensor  # (C,)


class Target(NamedTuple):
    """The target split as the current model sees it. Its labels are known to everyone and counted."""

    embeddings: Tensor  # (v, D)
    probs: Tensor  # (v, C)
    labels: Tensor  # (v,) int64


class Signals(Protocol):
    """What may be asked about pool items. Lazy: asked for = computed, once per cycle.

    `idx` holds pool indices. Answers are float tensors on the run's device.
    """

    def features(self, idx: Tensor) -> Tensor:
        """(n, F) of the frozen encoder, as it gave them (not normalised)."""

    def logits(self, idx: Tensor) -> Tensor:
        """(n, C) of the current model."""

    def probs(self, idx: Tensor) -> Tensor:
        """(n, C) softmax of the logits."""

    def embeddings(self, idx: Tensor) -> Tensor:
        """(n, D) input of the current model's last layer."""

    def head(self) -> Head | None:
        """The current model's last layer, or None if it is not linear."""

    def target(self) -> Target:
        """The target split under the current model."""

    def refit(self, idx: Tensor) -> "Signals":
        """Signals of a throw-away model trained on these labelled items alone, for calibration."""

    def previous(self) -> "Signals | None":
        """Signals of the model of the cycle before; None in the first cycle."""


@dataclass(frozen=True)
class View:
    """All a strategy may see in one cycle. It holds no label of an unlabelled item."""

    unlabelled: Tensor  # (u,) int64 pool indices, ascending
    labelled: Tensor  # (l,) int64 pool indices, in the order they were acquired
    labels: Tensor  # (l,) int64 what the oracle answered for `labelled`
    n_classes: int
    cycle: int  # 0 is the first
    signals: Signals
    rng: np.random.Generator
    # A cache from cycle to cycle that may be empty at any time: it can make a pick faster, never different.
    memo: MutableMapping[str, Any] = field(default_factory=dict)


class Selection(NamedTuple):
    """Chosen items, best first."""

    indices: Tensor  # (n,) int64 pool indices
    scores: Tensor  # (n,) in the strategy's own meaning; NaN where it has none
    notes: Mapping[str, float] = {}  # what the strategy adapted, e.g. {"sigma": 0.4}; written with the metrics


Strategy = Callable[[View, int], Selection]


class Outputs(NamedTuple):
    """What a trained model says about some items."""

    logits: Tensor  # (n, C)
    embeddings: Tensor  # (n, D)


class Predictor(Protocol):
    """A trained model."""

    def outputs(self, part: Part, idx: Tensor) -> Outputs:
        """Logits and embeddings of the items `idx` of a part."""

    def head(self) -> Head | None:
        """The last layer, or None if it is not linear."""

    @property
    def loss(self) -> float:
        """Mean training cross-entropy in nats at the end of training; NaN when there were no labels."""


# (idx (l,) into the pool, labels (l,), rng) -> a model trained afresh on them; l = 0 gives the initial model.
Learner = Callable[[Tensor, Tensor, np.random.Generator], Predictor]


class Size(NamedTuple):
    """What the memory of a strategy depends on."""

    pool: int
    labelled: int
    batch: int
    classes: int
    features: int
    embeddings: int


@dataclass(frozen=True)
class Cycle:
    """One train-evaluate-select round: what is written to disk, and all that is."""

    index: int
    metrics: Mapping[str, float | int | None]  # reproducible to the byte
    costs: Mapping[str, float | int | None]  # seconds and memory: these are not
    selection: Selection | None  # None in the last cycle; indices are pool indices
    bought: Tensor  # (n,) int64 the oracle's answers for the selection
    predictions: Mapping[str, np.ndarray]  # test and pool predictions of this cycle's model
