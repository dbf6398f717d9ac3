"""The nouns everyone shares: what a strategy sees, what it returns, what a run writes."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from .numerics.reduction import WHOLE, Reduction

# Shape letters used everywhere: N pool, u unlabelled, l labelled, v target, t test, n chosen or any,
# C classes, F encoder features, D model embeddings, b items of a batch, P parameters.

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

    def completions(self, idx: Tensor) -> "Completions":
        """How well the current model predicts the completions that come with these items. UserError without them."""

    def head(self) -> Head | None:
        """The current model's last layer, or None if it is not linear."""

    def target(self) -> Target:
        """The target split under the current model."""

    def refit(self, idx: Tensor) -> "Signals":
        """Signals of a throw-away model trained on these labelled items alone, for calibration."""

    def previous(self) -> "Signals | None":
        """Signals of the model of the cycle before; None in the first cycle."""

    def gradients(self, scope: "Scope") -> "Gradients":
        """Gradients of the current model's loss in the parameters of a scope. Raises UserError where it has none."""

    def oracle_labels(self, idx: Tensor) -> Tensor:
        """(n,) true labels of pool items. Refused unless the strategy's options make the run a diagnostic."""


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


class Completions(NamedTuple):
    """How well a language model predicts some completions, each the mean over its tokens, the end token among them."""

    nll: Tensor  # (n,) negative log-likelihood in nats
    entropy: Tensor  # (n,) entropy of the predicted token in nats
    right: Tensor  # (n,) share of tokens that are the most probable one
    tokens: Tensor  # (n,) int64


class Scope(StrEnum):
    """Which parameters of a network gradients are taken with respect to."""

    head = "head"  # the last layer
    last_block = "last_block"  # what is trained of the last block below it
    lora = "lora"  # the adapters
    all = "all"  # everything that is trained


class Batch(NamedTuple):
    """Items of about one length, ready for a network."""

    at: Tensor  # (b,) int64 positions in the `idx` that was asked for
    inputs: Mapping[str, Tensor]  # what the network reads, first axis b
    labels: Tensor  # (b,) int64, or (b, C) shares; of a language model (b, L) tokens, IGNORED outside the completion


@dataclass(frozen=True)
class Batches:
    """Batches of a part's items, about one length each, the longest first; each is made when it is asked for."""

    places: Sequence[np.ndarray]  # positions in the `idx` that was asked for; none is empty
    make: Callable[[np.ndarray], Batch]

    def __iter__(self) -> Iterator[Batch]:
        return map(self.make, self.places)


class Moments(NamedTuple):
    """Adam's state after the last step, by the names of the parameters."""

    first: Mapping[str, Tensor]
    second: Mapping[str, Tensor]
    step: int
    betas: tuple[float, float]
    eps: float


class Adam(NamedTuple):
    """Moments of the parameters of one scope."""

    first: Tensor  # (P,)
    second: Tensor  # (P,)
    step: int
    betas: tuple[float, float]
    eps: float


class Network(Protocol):
    """A trained network as its gradients see it: in evaluation mode, without dropout."""

    @property
    def module(self) -> nn.Module:
        """The network, for hooks. Names of parameters are those of `module.named_parameters()`."""

    def parameters(self, scope: Scope) -> dict[str, Tensor]:
        """Trained parameters of a scope by name, in the module's order. Raises UserError where it has none."""

    def losses(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """(b,) loss of each item in nats, a function of these parameters in place of the network's own."""

    def batches(self, part: "Part", idx: Tensor, labels: Tensor) -> Batches:
        """The items `idx` of a part with these labels (n,), sorted by length."""

    def moments(self) -> Moments | None:
        """Adam's state at the end of training; None where nothing was trained."""

    def checkpoints(self) -> "Sequence[tuple[float, Network]]":
        """(mean learning rate, network) of each checkpoint of this training, the last one included."""

    def report(self, done: int, of: int) -> None:
        """Show how far a pass over items for their gradients has come."""

    def told(self) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
        """What another process of the run needs to have this network, as JSON and tensors with dots in their names."""


class Gradients(Protocol):
    """Gradients of items' losses in nats, flat (P,): the parameters of one scope in their order, each row-major.

    `labels` are imagined or known ones: (n,) int64, or (n, C) shares of the classes, whose mean loss is meant.
    """

    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the flat vectors."""

    def parameters(self) -> Tensor:
        """(P,) the parameters themselves."""

    def mean(self, part: Part, idx: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """(P,) the mean of the items' gradients, each times its weight (n,) where weights are given."""

    def scores(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """(n, s) inner products with directions (s, P). No gradient of an item is formed."""

    def cosines(self, part: Part, idx: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
        """(n, s) scores over the lengths of the items' gradients, not of the directions; 0 without a length."""

    def label_scores(self, idx: Tensor, n_classes: int, direction: Tensor) -> Tensor:
        """(n, C) inner products with one direction (P,) of pool items, for every label they may have."""

    def norms(self, part: Part, idx: Tensor, labels: Tensor) -> Tensor:
        """(n,) lengths of the gradients."""

    def vectors(
        self, part: Part, idx: Tensor, labels: Tensor, reduction: Reduction = WHOLE
    ) -> "Iterator[tuple[Tensor, Tensor]]":
        """(positions (b,) in idx, gradients (b, P) or what is kept of them), some items at a time."""

    def adam(self) -> "Adam":
        """Adam's state after the last step; zeros where nothing was trained yet."""

    def checkpoints(self) -> "Sequence[tuple[float, Gradients]]":
        """(mean learning rate, gradients) at each checkpoint of this training, the last one included."""


class Predictor(Protocol):
    """A trained model."""

    def outputs(self, part: Part, idx: Tensor) -> Outputs:
        """Logits and embeddings of the items `idx` of a part."""

    def head(self) -> Head | None:
        """The last layer, or None if it is not linear."""

    def network(self) -> Network | None:
        """What gradients beyond the head are taken of; None where there is nothing beyond it."""

    @property
    def loss(self) -> float:
        """Mean training cross-entropy in nats at the end of training; NaN when there were no labels."""

    @property
    def notes(self) -> Mapping[str, float]:
        """What else the model has to say of itself, e.g. {"steps": 60}; written with the metrics as model/..."""


@runtime_checkable
class Savable(Protocol):
    """A trained model that can be kept."""

    def files(self) -> Mapping[str, bytes]:
        """Name -> content of the files that it can be loaded from."""


@runtime_checkable
class LanguageModel(Protocol):
    """A predictor that also says how well it predicts texts."""

    def completions(self, part: Part, idx: Tensor, labels: Tensor) -> Completions:
        """Of the items `idx` of a part, each with the completion that its label says."""


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
    files: Mapping[str, bytes] = field(default_factory=dict)  # the model itself, where a run keeps its models
