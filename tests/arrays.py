"""Views and signals over plain arrays: what strategies are tested with."""

from collections.abc import MutableMapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alrun.types import Completions, Gradients, Head, Scope, Signals, Target, View

PARTS = (
    "features", "logits", "probs", "embeddings", "head", "target", "refit", "previous", "gradients", "oracle_labels",
    "completions",
)  # fmt: skip


class ArraySignals:
    """alrun.types.Signals over arrays of the whole pool. Asking for what it was not given is an error.

    `refit` is a function from the pool indices to train on to Signals, `gradients` one from a Scope and these signals
    to Gradients. `asked` counts the questions.
    """

    def __init__(self, device: str = "cpu", **given: Any) -> None:
        unknown = set(given) - set(PARTS)
        if unknown:
            raise TypeError(f"signals have no {unknown}")
        self.given = {key: _tensor(value, device) for key, value in given.items()}
        self.asked: dict[str, int] = {}

    def _take(self, part: str) -> Any:
        if part not in self.given:
            raise LookupError(f"a strategy asked for {part}, which this test does not give")
        self.asked[part] = self.asked.get(part, 0) + 1
        return self.given[part]

    def features(self, idx: Tensor) -> Tensor:
        """(n, F)."""
        return self._take("features")[idx]

    def logits(self, idx: Tensor) -> Tensor:
        """(n, C)."""
        return self._take("logits")[idx]

    def probs(self, idx: Tensor) -> Tensor:
        """(n, C) as given, or softmax of the logits."""
        return self._take("probs")[idx] if "probs" in self.given else self.logits(idx).softmax(1)

    def embeddings(self, idx: Tensor) -> Tensor:
        """(n, D)."""
        return self._take("embeddings")[idx]

    def completions(self, idx: Tensor) -> Completions:
        """Given as (n, 2): mean token losses and entropies."""
        nll, entropy = self._take("completions")[idx].T
        return Completions(nll, entropy, torch.zeros_like(nll), torch.ones_like(nll, dtype=torch.int64))

    def head(self) -> Head | None:
        """As given."""
        return self._take("head")

    def target(self) -> Target:
        """As given."""
        return self._take("target")

    def refit(self, idx: Tensor) -> Signals:
        """What the callback says of these items."""
        return self._take("refit")(idx)

    def previous(self) -> Signals | None:
        """As given."""
        return self._take("previous")

    def gradients(self, scope: Scope) -> Gradients:
        """What the callback says."""
        return self._take("gradients")(scope, self)

    def oracle_labels(self, idx: Tensor) -> Tensor:
        """(n,) as given."""
        return self._take("oracle_labels")[idx]


def _tensor(value: Any, device: str) -> Any:
    return torch.as_tensor(value).to(device) if isinstance(value, np.ndarray | Tensor) else value


def view(
    signals: Signals,
    pool: int,
    labelled: Any = (),
    labels: Any = None,
    n_classes: int | None = None,
    *,
    unlabelled: Any = None,
    cycle: int = 0,
    seed: int = 0,
    memo: MutableMapping[str, Any] | None = None,
    device: str = "cpu",
) -> View:
    """A View of a pool of `pool` items; all but `labelled` are unlabelled, and labels are 0 unless given."""
    bought = torch.as_tensor(np.asarray(labelled, dtype=np.int64)).to(device)
    rest = np.setdiff1d(np.arange(pool), bought.cpu().numpy()) if unlabelled is None else np.asarray(unlabelled)
    answers = torch.zeros_like(bought) if labels is None else torch.as_tensor(np.asarray(labels)).to(device)
    return View(
        unlabelled=torch.as_tensor(rest).to(device),
        labelled=bought,
        labels=answers,
        n_classes=n_classes or max(2, int(answers.max()) + 1 if len(answers) else 2),
        cycle=cycle,
        signals=signals,
        rng=np.random.default_rng(seed),
        memo={} if memo is None else memo,
    )
