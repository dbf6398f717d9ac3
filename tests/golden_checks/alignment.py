"""alignment_al: LESS-alignment on a softmax head (tests/golden/less/README.md)."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from alrun.numerics import influence
from alrun.numerics.adam import adam_direction
from alrun.numerics.pursuit import Factored, matching_pursuit, mmr
from alrun.numerics.ranking import highest

from . import check
from .formulas import compare
from .golden_file import Golden


class Alignment:
    """What the file gives, and from it everything that a file of this kind may expect."""

    def __init__(self, golden: Golden) -> None:
        self.golden = golden

    def __getattr__(self, name: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.golden[name]))

    def predict(self, embeddings: Tensor) -> Tensor:
        return (embeddings @ self.W.T + self.b).softmax(1)

    @cached_property
    def probs(self) -> Tensor:
        return self.predict(self.H_pool)

    @cached_property
    def draws(self) -> Tensor:
        return influence.sample_labels(self.probs, self.u_pool.numpy())

    @cached_property
    def val_draws(self) -> Tensor:
        return influence.sample_labels(self.predict(self.H_val), self.u_val.numpy())

    @cached_property
    def hard(self) -> Tensor:
        return influence.residuals(self.probs, self.probs.argmax(1))

    @cached_property
    def sampled(self) -> Tensor:
        return influence.residuals(self.probs, self.draws)

    @cached_property
    def target(self) -> Tensor:
        return influence.mean_gradient(influence.residuals(self.predict(self.H_val), self.y_val), self.H_val)

    @cached_property
    def unit_target(self) -> Tensor:
        return influence.mean_unit_gradient(influence.residuals(self.predict(self.H_val), self.y_val), self.H_val)

    @cached_property
    def lab_target(self) -> Tensor:
        return influence.mean_gradient(influence.residuals(self.predict(self.H_lab), self.y_lab), self.H_lab)

    @cached_property
    def arena_target(self) -> Tensor:
        probs = self.predict(self.H_val)
        means = [influence.mean_gradient(influence.residuals(probs, y), self.H_val) for y in self.val_draws.T]
        return torch.stack([influence.unit(mean) for mean in means]).mean(0)

    @cached_property
    def gamma(self) -> Tensor:
        gradients = influence.gradients(self.hard, self.H_pool)
        options = {"betas": tuple(self.betas.tolist()), "eps": float(self.eps), "step": 1, "form": "less"}
        return adam_direction(gradients, self.adam_m, self.adam_v, **options)

    @cached_property
    def all_gradients(self) -> Tensor:
        labels = [torch.full((len(self.probs),), y) for y in range(self.probs.shape[1])]
        return torch.stack(
            [influence.gradients(influence.residuals(self.probs, y), self.H_pool) for y in labels], dim=1
        )

    def item_scores(self, residual: Tensor, target: Tensor, cosines: bool = False) -> Tensor:
        return influence.scores(residual, self.H_pool, target, cosines=cosines)

    def over_labels(self, reduce: Callable, cosines: bool = False) -> Tensor:
        target = influence.unit(self.target) if cosines else self.target
        return influence.reduced_label_scores(self.probs, self.H_pool, target, reduce, cosines=cosines, cells=28)

    def labels(self, cosines: bool) -> Tensor:
        target = influence.unit(self.target) if cosines else self.target
        return influence.label_scores(self.probs, self.H_pool, target, cosines=cosines)

    def pursuit(self) -> tuple[Tensor, Tensor, Tensor]:
        return matching_pursuit(Factored(self.hard, self.H_pool), self.target, int(self.k), magnitude=False)


def flatten(target: Tensor) -> Tensor:
    return torch.cat([target[:, :-1].flatten(), target[:, -1]])


Formula = Callable[[Alignment], Tensor]

SCORES: dict[str, Formula] = {
    "hard_dot": lambda a: a.item_scores(a.hard, a.target),
    "hard_cos": lambda a: a.item_scores(a.hard, influence.unit(a.target), cosines=True),
    "sampled_dot": lambda a: a.item_scores(a.sampled, a.target),
    "sampled_mean_of_cos": lambda a: a.over_labels(lambda s, rows: s.gather(1, a.draws[rows]).mean(1), cosines=True),
    "sampled_cos_of_mean": lambda a: a.item_scores(a.sampled, influence.unit(a.target), cosines=True),
    "expected_dot": lambda a: a.over_labels(lambda s, rows: (a.probs[rows] * s).sum(1)),
    "expected_cos": lambda a: a.over_labels(lambda s, rows: (a.probs[rows] * s).sum(1), cosines=True),
    "expected_abs": lambda a: a.over_labels(lambda s, rows: (a.probs[rows] * s.abs()).sum(1)),
    "expected_pos": lambda a: a.over_labels(lambda s, rows: (a.probs[rows] * s.clamp_min(0)).sum(1)),
    "fisher": lambda a: a.over_labels(lambda s, rows: (a.probs[rows] * s.square()).sum(1)),
    "max_label": lambda a: a.over_labels(lambda s, rows: s.amax(1)),
    "adam_hard_dot": lambda a: a.gamma @ flatten(a.target),
    "adam_hard_cos": lambda a: influence.cosine(a.gamma @ flatten(influence.unit(a.target)), a.gamma.norm(dim=1)),
    "hard_cos_unitmean_target": lambda a: a.item_scores(a.hard, influence.unit(a.unit_target), cosines=True),
    "hard_dot_label_target": lambda a: a.item_scores(a.hard, a.lab_target),
    "arena_aligned": lambda a: a.item_scores(a.sampled, a.arena_target, cosines=True),
    "arena_as_coded": lambda a: -a.item_scores(a.sampled, a.arena_target, cosines=True),
}

OTHERS: dict[str, Formula] = {
    "probs": lambda a: a.probs,
    "pseudo_label": lambda a: a.probs.argmax(1),
    "sampled_label_pool": lambda a: a.draws,
    "sampled_label_val": lambda a: a.val_draws,
    "grad_all_labels": lambda a: a.all_gradients,
    "target_val_mean": lambda a: flatten(a.target),
    "target_val_unitmean": lambda a: flatten(a.unit_target),
    "target_lab_mean": lambda a: flatten(a.lab_target),
    "dot_all_labels": lambda a: a.labels(False),
    "cos_all_labels": lambda a: a.labels(True),
    "gamma_hard": lambda a: a.gamma,
    "topk_abs_hard_dot": lambda a: highest(SCORES["hard_dot"](a).abs(), int(a.k)),
    "picks_mmr": lambda a: mmr(
        Factored(a.hard, a.H_pool), SCORES["hard_cos"](a), int(a.k), trade_off=float(a.mmr_lambda)
    )[0],
    "picks_matching_pursuit": lambda a: a.pursuit()[0],
    "mp_residual_norm": lambda a: a.pursuit()[2],
}  # fmt: skip

FORMULAS = (
    OTHERS
    | {f"score_{name}": formula for name, formula in SCORES.items()}
    | {f"topk_{name}": lambda a, formula=formula: highest(formula(a), int(a.k)) for name, formula in SCORES.items()}
)


@check("alignment_al")
def alignment_al(golden: Golden) -> None:
    ours = Alignment(golden)
    compare(golden, FORMULAS, ours)
    if "exp_score_expected_dot" in golden:
        zero = np.abs(SCORES["expected_dot"](ours).numpy()).max()
        golden.satisfied("exp_score_expected_dot", bool(zero < 1e-12), f"{zero} is not zero")
