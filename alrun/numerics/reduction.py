"""What is kept of a gradient that had to be formed: Adam's direction, length one, a sketch, products with targets.

A reduction is made where the gradient is, so that what is long need not be kept, or sent to another process.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .adam import Form, adam_direction
from .influence import cosine
from .projections import Count, Projection
from .sketch import Hash


class Moments(NamedTuple):
    """Adam's state over flat parameters, and which form of its direction is meant (adam.py)."""

    first: Tensor  # (P,)
    second: Tensor  # (P,)
    betas: tuple[float, float]
    eps: float
    step: int
    form: Form


class Reduction(NamedTuple):
    """Gradients (n, P) -> (n, width), in the order of the fields."""

    adam: Moments | None = None  # Adam's direction takes the gradient's place
    unit: bool = False  # over its length; 0 without a length
    onto: Tensor | None = None  # (s, P): inner products with these are kept, and nothing else
    times: float = 1.0
    sketch: Projection | None = None

    def __call__(self, rows: Tensor) -> Tensor:
        """(n, width): s numbers with `onto`, else as many as the sketch has, else P."""
        if self.adam is not None:
            rows = adam_direction(rows, **self.adam._asdict())
        if self.onto is not None:
            products = rows @ self.onto.T
            return cosine(products, rows.norm(dim=1, keepdim=True)) if self.unit else products
        rows = cosine(rows, rows.norm(dim=1, keepdim=True)) if self.unit else rows
        rows = rows if self.times == 1 else self.times * rows
        return rows if self.sketch is None else self.sketch(rows)

    def width(self, parameters: int) -> int:
        """How many numbers are kept of a gradient of so many."""
        if self.onto is not None:
            return len(self.onto)
        return parameters if self.sketch is None else self.sketch(torch.zeros(1, parameters)).shape[1]

    @property
    def travels(self) -> bool:
        """Whether `told` can say it: of projections a CountSketch alone."""
        return self.sketch is None or isinstance(self.sketch, Count)

    def told(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """This as JSON and tensors."""
        about: dict[str, Any] = {"unit": self.unit, "times": self.times}
        given: dict[str, Tensor] = {}
        if self.adam is not None:
            first, second, betas, eps, step, form = self.adam
            about["adam"] = {"betas": betas, "eps": eps, "step": step, "form": form}
            given |= {"first": first, "second": second}
        if self.onto is not None:
            given["onto"] = self.onto
        if isinstance(self.sketch, Count):
            given |= {"bucket": self.sketch.hashed.bucket, "sign": self.sketch.hashed.sign}
            about["width"] = self.sketch.hashed.width
        return about, given

    @classmethod
    def heard(cls, about: Mapping[str, Any], given: Mapping[str, Tensor]) -> "Reduction":
        """What `told` put into words."""
        adam = None
        if "adam" in about:
            said = about["adam"]
            betas = said["betas"][0], said["betas"][1]
            adam = Moments(given["first"], given["second"], betas, said["eps"], said["step"], said["form"])
        sketch = Count(Hash(given["bucket"], given["sign"], about["width"])) if "width" in about else None
        return cls(adam, about["unit"], given.get("onto"), about["times"], sketch)


WHOLE = Reduction()  # the gradient as it is
