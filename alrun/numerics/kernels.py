"""Similarities in [0, 1] that fall with distance."""

import math
from enum import StrEnum

from torch import Tensor


class Kernel(StrEnum):
    """Shapes of k(r), r the Euclidean distance and h the length scale (Bae et al. 2024, released code)."""

    rbf = "rbf"  # exp(-(r/h)^2): h is sqrt(2) times the usual Gaussian sigma
    laplace = "laplace"  # exp(-r/h)
    student_t = "student_t"  # (1 + (r/h)^2 / 0.5)^(-0.75)
    cauchy = "cauchy"  # 1 / (1 + r^2), whatever h
    rational = "rational"  # 1 / (1 + r^2 / 2), whatever h
    tophat = "tophat"  # 1 if r < h: ProbCover


def similarity(squared: Tensor, kernel: Kernel, sigma: float) -> Tensor:
    """k(r) of squared distances r^2 >= 0, any shape. Works in place: the squared distances are used up."""
    match kernel:
        case Kernel.rbf:
            return squared.mul_(-1 / sigma**2).exp_()
        case Kernel.laplace:
            return squared.sqrt_().mul_(-1 / sigma).exp_()
        case Kernel.student_t:
            return squared.mul_(2 / sigma**2).add_(1).pow_(-0.75)
        case Kernel.cauchy:
            return squared.add_(1).reciprocal_()
        case Kernel.rational:
            return squared.div_(2).add_(1).reciprocal_()
        case Kernel.tophat:
            return (squared.sqrt_() < sigma).to(squared.dtype)


def squared_reach(least: Tensor, kernel: Kernel, sigma: float) -> Tensor:
    """Squared distances from which on k(r) is at most `least`: inf where that is 0, -inf where it is above 1."""
    at = least.clamp(max=1)
    match kernel:
        case Kernel.rbf:
            squared = at.log().mul(-(sigma**2))
        case Kernel.laplace:
            squared = at.log().mul(-sigma).square()
        case Kernel.student_t:
            squared = at.pow(-4 / 3).sub(1).mul(sigma**2 / 2)
        case Kernel.cauchy:
            squared = at.reciprocal().sub(1)
        case Kernel.rational:
            squared = at.reciprocal().sub(1).mul(2)
        case Kernel.tophat:
            squared = (at * 0 + sigma**2).where(at > 0, math.inf)
    return squared.where(least <= 1, -math.inf)
