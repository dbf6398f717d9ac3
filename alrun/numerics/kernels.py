"""Similarities in [0, 1] that fall with distance."""

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
