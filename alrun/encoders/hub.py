"""Any transformers encoder, by its name on the Hugging Face hub or a folder."""

from ..data.source import Source
from ..errors import UserError
from ..pretrained import Dtype, Pooling, located
from ..registry import encoder
from .encoder import Encoder
from .text import text
from .vision import vision


@encoder
def hub(
    source: Source,
    *,
    path: str | None,
    revision: str | None,
    pooling: Pooling,
    normalise: bool,
    max_length: int,
    precision: Dtype,
    batch: int,
) -> Encoder:
    """Texts or pictures through the network `path`; its weights must be safetensors, and its own code is not run."""
    if path is None:
        raise UserError("encoder=hub needs encoder.path", "a name on the Hugging Face hub, or a folder")
    folder = located(path, revision, "encoder.path takes a folder too")
    if source.kind == "table":
        raise UserError(
            f"encoder 'hub' reads texts and images, and {source.name!r} has columns",
            "encoder=none takes numbers as they are",
        )
    chosen = {"pooling": pooling, "normalise": normalise, "precision": precision, "batch": batch, "name": "hub"}
    if source.kind == "image":
        return vision(source, folder, **chosen)  # type: ignore[arg-type]
    return text(source, folder, max_length=max_length, **chosen)  # type: ignore[arg-type]
