"""less_mlp: gradients, Adam directions and influence of a small network over its checkpoints."""

from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from alrun.numerics.adam import Form, adam_direction
from alrun.numerics.per_example import directional, per_example_gradients, per_example_losses
from alrun.numerics.trajectory import (
    best_subtask,
    normalised,
    official_targets,
    paper_targets,
    trajectory_influence,
    unit,
)

from . import check
from .formulas import compare, tolerance, top_picks
from .golden_file import Golden

PARAMETERS = ("l1_weight", "l1_bias", "l2_weight", "l2_bias")


def loss(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    hidden = linear(x, params["l1_weight"], params["l1_bias"]).tanh()
    return cross_entropy(linear(hidden, params["l2_weight"], params["l2_bias"]), y)


class Network:
    """The inputs of the file, each computed on when it is asked for; plain gradients are those of all checkpoints."""

    def __init__(self, golden: Golden) -> None:
        self.golden = golden

    def given(self, key: str) -> Tensor:
        value = torch.from_numpy(self.golden[key])
        return value.double() if value.is_floating_point() else value

    @cached_property
    def checkpoints(self) -> list[dict[str, Tensor]]:
        weights = {name: self.given(f"ckpt_{name}") for name in PARAMETERS}
        return [{name: weight[c] for name, weight in weights.items()} for c in range(len(weights["l1_bias"]))]

    def examples(self, part: str) -> tuple[Tensor, Tensor]:
        return self.given(f"X_{part}"), self.given(f"y_{part}").long()

    def losses(self, part: str) -> Tensor:
        return torch.stack([per_example_losses(loss, params, *self.examples(part)) for params in self.checkpoints])

    def gradients(self, part: str) -> Tensor:
        """(c, n, P), five examples at a time."""
        each = (per_example_gradients(loss, params, *self.examples(part), chunk=5) for params in self.checkpoints)
        return torch.stack(list(each))

    @cached_property
    def train(self) -> Tensor:
        return self.gradients("train")

    @cached_property
    def val(self) -> Tensor:
        return self.gradients("val")

    def gamma(self, form: Form) -> Tensor:
        (b1, b2), eps = self.given("betas").tolist(), float(self.given("eps"))
        parts = zip(self.train, self.given("adam_m"), self.given("adam_v"), self.given("adam_step"), strict=True)
        return torch.stack(
            [adam_direction(g, m, v, betas=(b1, b2), eps=eps, step=int(t), form=form) for g, m, v, t in parts]
        )

    def directional_tracin(self) -> Tensor:
        """TracIn without a training gradient: one pass in forward mode for each target and checkpoint."""
        parts = zip(self.given("eta"), self.checkpoints, self.val, strict=True)
        batch = self.examples("train")
        each = [
            eta * torch.stack([directional(loss, params, g, *batch) for g in val], dim=1) for eta, params, val in parts
        ]
        return torch.stack(each).sum(0)

    def cosines(self, train: Tensor) -> Tensor:
        return self.subtasks(train, self.val, lambda val, _: unit(val))

    def subtasks(self, train: Tensor, val: Tensor, targets: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        rows: Iterator[Tensor] = (unit(z) for z in train)
        goals = (targets(g, self.given("val_subtask")) for g in val)
        return trajectory_influence(rows, goals, normalised(self.given("eta")))

    def projected(self) -> Tensor:
        signs = self.given("proj").double()
        return self.subtasks(self.gamma("less") @ signs, self.val @ signs, official_targets)


FORMULAS: dict[str, Callable[[Network], Tensor]] = {
    "loss_train": lambda n: n.losses("train"),
    "loss_val": lambda n: n.losses("val"),
    "grad_train": lambda n: n.train,
    "grad_val": lambda n: n.val,
    "gamma_less": lambda n: n.gamma("less"),
    "gamma_eps_outside": lambda n: n.gamma("eps_outside"),
    "gamma_paper": lambda n: n.gamma("paper"),
    "gamma_torch_step": lambda n: n.gamma("torch_step"),
    "inf_tracin": lambda n: trajectory_influence(n.train, n.val, n.given("eta")),
    "inf_adam_dot": lambda n: trajectory_influence(n.gamma("less"), n.val, n.given("eta")),
    "inf_less_cos": lambda n: n.cosines(n.gamma("less")),
    "inf_sgd_cos": lambda n: n.cosines(n.train),
    "subtask_official": lambda n: n.subtasks(n.gamma("less"), n.val, official_targets),
    "subtask_paper": lambda n: n.subtasks(n.gamma("less"), n.val, paper_targets),
    "score_official": lambda n: best_subtask(FORMULAS["subtask_official"](n)),
    "score_paper": lambda n: best_subtask(FORMULAS["subtask_paper"](n)),
    "score_proj": lambda n: best_subtask(n.projected()),
}

RANKED: dict[str, Callable[[Network], Tensor]] = {
    "topk_official": FORMULAS["score_official"],
    "topk_paper": FORMULAS["score_paper"],
    "topk_proj": FORMULAS["score_proj"],
    "topk_tracin": lambda n: FORMULAS["inf_tracin"](n).mean(1),
}


@check("less_mlp")
def less_mlp(golden: Golden) -> None:
    network = Network(golden)
    compare(golden, FORMULAS, network)
    if "exp_inf_tracin" in golden:
        golden.close("exp_inf_tracin", network.directional_tracin(), **tolerance(golden, "exp_inf_tracin"))
    for name, scores in RANKED.items():
        if (key := f"exp_{name}") in golden:
            assert len(golden[key]) == golden.count("k")
            top_picks(golden, key, scores(network), torch.from_numpy(golden[key]))
