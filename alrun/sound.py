"""Whether the files of a pretrained network can be trusted: all there, readable, and each number from a file."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import UserError

WEIGHTS = "model.safetensors"
READERS = ("tokenizer*.json", "vocab.*", "*.model", "*processor_config.json")  # of texts or pictures
ADAPTER = "adapter_config.json"


def lacking(folder: Path) -> str | None:
    """What a network's folder has not got, as after a download that was cut short; None if it is whole."""
    if not (folder / "config.json").is_file():
        return "config.json"
    index = folder / f"{WEIGHTS}.index.json"
    shards = [WEIGHTS]
    if not (folder / WEIGHTS).is_file() and index.is_file():
        try:
            shards = sorted({str(name) for name in json.loads(index.read_text())["weight_map"].values()})
        except (ValueError, KeyError, TypeError, AttributeError):  # not the index of any weights
            return index.name
    for name in shards:
        if not (folder / name).is_file():
            return name if index.is_file() else f"{name} (other formats can run code when they are read)"
    return None if any(any(folder.glob(name)) for name in READERS) else "a tokenizer or an image processor"


def demand_no_adapter(folder: Path) -> None:
    """Refuse weights with an adapter beside them: transformers would put it into the network and say nothing."""
    if (folder / ADAPTER).is_file():
        raise UserError(
            f"{str(folder)!r} has an adapter in it ({ADAPTER}), and a network starts from its weights alone",
            f"move {ADAPTER} out of the folder",
            "or put the adapter into the weights (peft: merge_and_unload, then save_pretrained)",
        )


def demand_words(folder: Path, tokenizer: Any) -> None:
    """Refuse a folder without the words of its tokenizer: transformers makes up one that knows none.

    Tokenizers that read bytes or characters have no file of words.
    """
    names = {file for what, file in tokenizer.vocab_files_names.items() if "merges" not in what}
    if not names:
        return
    if not any((folder / name).is_file() for name in {*names, "tokenizer.json"}) and not any(folder.glob("*.model")):
        raise UserError(
            f"{str(folder)!r} has no tokenizer: there is no {' and no '.join(sorted({*names, 'tokenizer.json'}))}",
            "tokenizer.save_pretrained puts these files beside the weights",
        )


def blank(network: Any, absent: Iterable[str]) -> None:
    """Put NaN where no file had a number: what depends on it shows, and what nobody reads (a pooler) does no harm."""
    held = network.state_dict()
    for name in absent:
        if name in held and held[name].is_floating_point():
            held[name].fill_(float("nan"))


def demand_numbers(path: str, network: Any, vectors: Any) -> None:
    """Refuse a network whose `vectors` of an item are not finite, as they are where `blank` found something to do."""
    import torch

    if torch.as_tensor(vectors).isfinite().all():
        return
    named = [name for name, value in network.state_dict().items() if not value.isfinite().all()]
    raise UserError(
        f"the weights in {path!r} are not whole: {named[0] if named else 'what comes out'} "
        + (f"{f'and {len(named) - 1} more are' if len(named) > 1 else 'is'} missing there or not finite"),
        "names in the safetensors file must be those of the network that config.json describes",
    )


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """What goes wrong while a model's files are read, as a message that names them."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise UserError(
            f"the model in {str(folder)!r} cannot be loaded: {first_line(error)}",
            "it must be a transformers model with safetensors weights and no code of its own",
        ) from error


def first_line(error: Exception) -> str:
    """The first line of what an exception says, or what it is."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
