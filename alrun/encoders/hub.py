"""Any transformers encoder, by its name on the Hugging Face hub or a folder."""

from pathlib import Path

from ..data.source import Source
from ..errors import UserError
from ..registry import encoder
from .encoder import Encoder
from .text import text
from .transformer import Pooling, Precision
from .vision import vision

FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]  # no weights that can run code, no code


@encoder
def hub(
    source: Source,
    *,
    path: str | None,
    revision: str | None,
    pooling: Pooling,
    normalise: bool,
    max_length: int,
    precision: Precision,
    batch: int,
) -> Encoder:
    """Texts or pictures through the network `path`; its weights must be safetensors, and its own code is not run."""
    if path is None:
        raise UserError("encoder=hub needs encoder.path", "a name on the Hugging Face hub, or a folder")
    local = Path(path).expanduser()
    folder = local.resolve() if local.is_dir() else snapshot(path, revision, "encoder.path takes a folder too")
    if source.kind == "table":
        raise UserError(
            f"encoder 'hub' reads texts and images, and {source.name!r} has columns",
            "encoder=none takes numbers as they are",
        )
    chosen = {"pooling": pooling, "normalise": normalise, "precision": precision, "batch": batch, "name": "hub"}
    if source.kind == "image":
        return vision(source, folder, **chosen)  # type: ignore[arg-type]
    return text(source, folder, max_length=max_length, **chosen)  # type: ignore[arg-type]


def snapshot(path: str, revision: str | None, way_out: str) -> Path:
    """A local folder with the hub's files of a model: what is already there, or else downloaded."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    def ask(local: bool) -> Path:
        return Path(
            snapshot_download(
                path, revision=revision, allow_patterns=FILES, ignore_patterns=["*/*"], local_files_only=local
            )
        )

    try:
        return ask(local=True)
    except HFValidationError as error:
        raise UserError(f"{path!r} is neither a folder nor the name of a model", way_out) from error
    except OSError:
        pass  # not there yet
    try:
        return ask(local=False)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"the model {path!r} could not be fetched from the Hugging Face hub: {reason}", way_out
        ) from error
