"""How a causal language model is listened to: what it makes of some prompts and their options, batch by batch."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..processes import Pass, crew
from .inputs import by_length
from .speech import Row, collated, gathered, tail
from .training import fitting
from .voice import Voice, listening

ITEMS = "items"  # among parameters, whose names have dots
PIECE = 256  # predictions whose probabilities over all words are held at once


class Said(NamedTuple):
    """Sums over the tokens of each option, (n, C) each, and what the last layer reads at the end of the prompt."""

    nll: Tensor
    entropy: Tensor
    right: Tensor
    tokens: Tensor  # 0 where an item has no such option
    embeddings: Tensor  # (n, D)


def hearing(voice: Voice, parameters: Mapping[str, Tensor], rows: Sequence[Row]) -> Pass:
    """What the network says under these parameters of rows with all their options: a Said for every batch."""

    @fitting()
    @torch.inference_mode()
    def compute(at: np.ndarray) -> Said:
        some, device = [rows[place] for place in at], voice.device
        keep, every, first = tail(some), gathered(some, device), torch.arange(len(some), device=device)
        ends = torch.tensor([keep + int(row.at.min()) for row in some], device=device)
        with listening(voice.module) as heard:
            logits = voice.forward(parameters, collated(some, voice.dtype, device), keep)  # (b, K, V)
        nll, entropy, right, tokens = (torch.zeros(len(some), voice.n_classes, device=device) for _ in range(4))
        found = Said(nll, entropy, right, tokens.long(), heard[0][first, ends].float())
        for piece in torch.arange(len(every["row"]), device=device).split(PIECE):
            row, end, token, option = (every[name][piece] for name in ("row", "at", "token", "option"))
            logs = logits[row, keep + end].float().log_softmax(1)  # (m, V)
            sums = (
                -logs.gather(1, token[:, None])[:, 0],
                -(logs.exp() * logs).sum(1),
                (logs.argmax(1) == token).float(),
                torch.ones_like(token),
            )
            for total, each in zip(found, sums, strict=False):
                total.index_put_((row, option), each, accumulate=True)
        return found

    return Pass(by_length(np.array([len(row.tokens) for row in rows]), voice.batch), compute)


def offer(voice: Voice) -> None:
    """Let other processes share this."""
    crew().offer("said", partial(_asked, voice))


def _asked(voice: Voice, about: Mapping[str, Any], given: dict[str, Tensor]) -> Pass:
    """The same in another process: these parameters on its own copy of the base."""
    voice.demand(about["files"])
    rows = [voice.row(about["part"], int(item), None) for item in given.pop(ITEMS)]
    return hearing(voice, {name: value.to(voice.device) for name, value in given.items()}, rows)
