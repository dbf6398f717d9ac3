"""Gamma, the direction in which one more Adam step would move on one example (LESS, Xia et al. 2024, sec. 3.1).

Moments and gradients may have any shape that broadcasts: (P,) moments and (n, P) gradients give (n, P) directions.
Gamma has no unit: its entries are near one in size. It belongs on the training side only, the target's gradient
stays plain.
"""

from typing import Literal

from torch import Tensor

Form = Literal["less", "eps_outside", "paper", "torch_step"]


def adam_direction(
    gradient: Tensor, first: Tensor, second: Tensor, *, betas: tuple[float, float], eps: float, step: int, form: Form
) -> Tensor:
    """Gamma from the moments before the step, `step` of which were taken.

    `less` is the released code: no bias correction and eps inside the root. `eps_outside` differs in that alone,
    `paper` divides the moments by 1 - beta^step, `torch_step` is torch.optim.Adam's next step over its rate. The
    correction is one factor a checkpoint, so cosines with `less` and `paper` agree up to eps.
    """
    b1, b2 = betas
    m = b1 * first + (1 - b1) * gradient
    v = b2 * second + (1 - b2) * gradient.square()
    if form == "less":
        return m / (v + eps).sqrt()
    if form == "eps_outside":
        return m / (v.sqrt() + eps)
    if form == "paper":
        return (m / (1 - b1**step)) / (v / (1 - b2**step) + eps).sqrt()
    return (m / (1 - b1 ** (step + 1))) / ((v / (1 - b2 ** (step + 1))).sqrt() + eps)


def linear_adam(
    target: Tensor, first: Tensor, second: Tensor, *, betas: tuple[float, float], eps: float
) -> tuple[Tensor, Tensor]:
    """A target t' and a constant c with <Gamma(g), target> near c + <g, t'>: no gradient per example is needed.

    Gamma (form `less`) is not linear in g through (1 - b2) g^2 under the root alone, and that is left out: wrong where
    a gradient is much longer than those the second moment remembers. `target` is (P,) or (s, P), c one number for each.
    """
    b1, b2 = betas
    scaled = target / (b2 * second + eps).sqrt()
    return (1 - b1) * scaled, b1 * (scaled * first).sum(-1)
