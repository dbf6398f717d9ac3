"""What the trained model of a cycle says about the pool: all that a strategy may ask."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from .errors import UserError
from .gradients import HeadGradients, NetworkGradients
from .models.material import NEVER, Material
from .needs import LAST_LAYER, Need, refusal
from .needs import gradients as needed
from .streams import Stream, stream
from .types import Completions, Gradients, Head, LanguageModel, Learner, Outputs, Predictor, Scope, Target


class ModelSignals:
    """Signals of one model. Whatever is asked for first is computed for the whole pool, once.

    Holds the answers that were paid for and no other: what was not bought is not here to be found.
    `sizes[c]` is how many of the labelled items, in the order they were acquired, the model of cycle c was trained on.
    """

    def __init__(
        self,
        material: Material,
        learner: Learner,
        predictor: Predictor,
        *,
        labelled: Tensor,  # (l,) int64 pool indices, in the order they were acquired
        labels: Tensor,  # (l,) int64
        target_labels: Tensor,  # (v,) int64
        sizes: Sequence[int],
        seed: int,
        before: Predictor | None = None,  # the previous cycle's model, where it is still at hand
        oracle: Tensor | None = None,  # (N,) every answer: only for a run that is declared a diagnostic
    ) -> None:
        if len(labelled) != len(labels) or not sizes or sizes[-1] != len(labelled):
            raise ValueError(f"{len(labelled)} labelled items, {len(labels)} labels, cycles of {list(sizes)}")
        self._material = material
        self._learner = learner
        self._predictor = predictor
        self._labelled = labelled
        self._labels = labels
        self._target_labels = target_labels
        self._sizes = tuple(sizes)
        self._seed = seed
        self._before = before
        self._oracle = oracle
        self.asked: set[str] = set()  # "probs", "gradients": what a strategy looked at

    @cached_property
    def _pool(self) -> Outputs:
        return self._predictor.outputs("pool", torch.arange(self._n, device=self._material.device))

    @property
    def _n(self) -> int:
        return len(self._material.features["pool"])

    def _inside(self, idx: Tensor) -> Tensor:
        if len(idx) and (int(idx.min()) < 0 or int(idx.max()) >= self._n):
            raise IndexError(
                f"pool indices {int(idx.min())} to {int(idx.max())} asked for, the pool has {self._n} items"
            )
        return idx.to(self._material.device)

    def features(self, idx: Tensor) -> Tensor:
        """(n, F) of the frozen encoder, as it gave them (not normalised)."""
        return self._material.rows("pool", self._inside(idx))

    def logits(self, idx: Tensor) -> Tensor:
        """(n, C) of the current model. A completion that comes with its item is certain, and nothing is computed."""
        self.asked.add("probs")
        if self._material.answered:
            certain = torch.full((len(self._inside(idx)), self._material.n_classes), NEVER)
            certain[:, 0] = 0.0
            return certain.to(self._material.device)
        return self._pool.logits[self._inside(idx)]

    def probs(self, idx: Tensor) -> Tensor:
        """(n, C) softmax of the logits."""
        return self.logits(idx).softmax(dim=1)

    def embeddings(self, idx: Tensor) -> Tensor:
        """(n, D) input of the current model's last layer."""
        return self._pool.embeddings[self._inside(idx)]

    @cached_property
    def _completions(self) -> Completions:
        if not isinstance(self._predictor, LanguageModel) or not self._material.answered:
            raise refusal(Need.completions)
        every = torch.arange(self._n, device=self._material.device)
        return self._predictor.completions("pool", every, torch.zeros_like(every))

    def completions(self, idx: Tensor) -> Completions:
        """How well the current model predicts the completions that come with these items."""
        at = self._inside(idx)
        return Completions(*(part[at] for part in self._completions))

    def head(self) -> Head | None:
        """The current model's last layer, or None if it is not linear."""
        return self._predictor.head()

    def target(self) -> Target:
        """The target split under the current model."""
        return self._target

    @cached_property
    def _target(self) -> Target:
        every = torch.arange(len(self._target_labels), device=self._material.device)
        outputs = self._predictor.outputs("target", every)
        return Target(outputs.embeddings, outputs.logits.softmax(dim=1), self._target_labels)

    def gradients(self, scope: Scope) -> Gradients:
        """Gradients of the current model's loss in the parameters of a scope."""
        self.asked.add("gradients")
        network, head = self._predictor.network(), self._predictor.head()
        if network is not None:
            return NetworkGradients(network, scope)
        if scope != Scope.head or head is None:
            raise refusal(needed(Scope(scope)), offered=[] if head is None else LAST_LAYER)
        return HeadGradients(head, self._predictor.outputs)

    def oracle_labels(self, idx: Tensor) -> Tensor:
        """(n,) true labels of pool items, in a run that its options make a diagnostic and that is marked as one."""
        if self._oracle is None:
            raise UserError(
                "a strategy asked for labels that nobody has paid for",
                "strategy.label=oracle makes the run a diagnostic, which every table and plot says",
            )
        return self._oracle[self._inside(idx)]

    def refit(self, idx: Tensor) -> "ModelSignals":
        """Signals of a throw-away model trained on these labelled items alone. An item without a label is refused."""
        position = {int(item): at for at, item in enumerate(self._labelled)}
        strangers = [int(item) for item in idx if int(item) not in position]
        if strangers:
            raise UserError(
                f"a strategy asked to train on pool item {strangers[0]}, which is not one of the "
                f"{len(position)} labelled ones",
                "refit takes indices out of view.labelled",
            )
        at = torch.tensor([position[int(item)] for item in idx], dtype=torch.int64, device=self._labels.device)
        labelled, labels = self._labelled[at], self._labels[at]
        cycle = len(self._sizes) - 1
        predictor = self._learner(labelled, labels, stream(self._seed, Stream.REFIT, cycle))
        return ModelSignals(
            self._material,
            self._learner,
            predictor,
            labelled=labelled,
            labels=labels,
            target_labels=self._target_labels,
            sizes=[len(labelled)],
            seed=self._seed,
        )

    def previous(self) -> "ModelSignals | None":
        """Signals of the model of the cycle before; None in the first cycle, and of a throw-away model.

        Where that model is gone (after a resume), it is trained again on the labels and the stream of its cycle.
        """
        if len(self._sizes) == 1:
            return None
        sizes = self._sizes[:-1]
        labelled, labels = self._labelled[: sizes[-1]], self._labels[: sizes[-1]]
        if self._before is None:
            self._before = self._learner(labelled, labels, stream(self._seed, Stream.MODEL, len(sizes) - 1))
        return ModelSignals(
            self._material,
            self._learner,
            self._before,
            labelled=labelled,
            labels=labels,
            target_labels=self._target_labels,
            sizes=sizes,
            seed=self._seed,
        )
