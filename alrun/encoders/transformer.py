"""What frozen text and vision transformers share: one vector per item."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..sound import demand_numbers


def finish(vectors: Any, normalise: bool) -> np.ndarray:
    """(b, D) float32 on the host, scaled to length 1 if `normalise`."""
    import torch

    if normalise:
        vectors = torch.nn.functional.normalize(vectors, dim=1)
    return vectors.cpu().numpy()


def probe(encode: Callable[[np.ndarray], np.ndarray], folder: Path, network: Any) -> int:
    """How many values one item gets; UserError for networks that need more than the item, or lack weights."""
    try:
        vectors = encode(np.array([0]))
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"the model in {str(folder)!r} does not turn one item into vectors: {str(error).strip().splitlines()[0]}",
            "choose an encoder such as BERT, MiniLM, ViT or DINO",
        ) from error
    demand_numbers(str(folder), network, vectors)
    return vectors.shape[1]
