"""all-MiniLM-L6-v2, a small sentence encoder (Wang et al. 2020; Reimers and Gurevych 2019)."""

from .. import pretrained
from ..data.source import Source
from ..pretrained import Dtype, Pooling
from ..registry import encoder
from .encoder import Encoder
from .text import text


@encoder
def minilm(source: Source, *, max_length: int, precision: Dtype, batch: int) -> Encoder:
    """384 values per text: mean of the token vectors, scaled to length 1, as the network was trained."""
    return text(
        source,
        pretrained.minilm(),
        pooling=Pooling.mean,
        normalise=True,
        max_length=max_length,
        precision=precision,
        batch=batch,
        name="minilm",
    )
