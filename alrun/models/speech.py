"""Exchanges as a causal language model reads them: token numbers, and which of them are to be predicted."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..exchange import Exchange
from ..numerics.completion import IGNORED
from ..sound import first_line

Template = StrEnum("Template", ["auto", "plain"])


class Row(NamedTuple):
    """One prompt and what follows: tokens read, and the tokens predicted, counted from the row's end.

    Several options stand side by side behind one prompt; each sees the prompt and itself (`segment`). Rows of a whole
    pool are kept, hence the small numbers: int32 each.
    """

    tokens: np.ndarray  # (s,) read
    position: np.ndarray  # (s,) as in a text of the prompt and one option
    segment: np.ndarray  # (s,) 0 the prompt, 1.. the options
    at: np.ndarray  # (k,) -1 is the last token read
    token: np.ndarray  # (k,) what comes after it
    option: np.ndarray  # (k,) of which option


class Reader:
    """A tokenizer and how a dialogue is put to it.

    Prompt and completion are tokenised apart and joined as numbers, so that the border is the same in every row; a
    completion ends with the tokenizer's end token, in training, target and test alike. What is longer than
    `max_length` loses the middle of its prompt, then the end of its completion, never all of either.
    """

    def __init__(self, tokenizer: Any, template: Template, max_length: int) -> None:
        self.tokenizer, self.max_length = tokenizer, max_length
        self.chat = template is Template.auto and bool(getattr(tokenizer, "chat_template", None))
        self.end = tokenizer.eos_token_id
        self.prompt("a")  # a template that fails does so before anything is trained

    def prompt(self, text: str) -> list[int]:
        """Tokens of a prompt, up to where the answer begins."""
        if not self.chat:
            return self.tokenizer(text + "\n")["input_ids"]
        said = [{"role": "user", "content": text}]
        try:
            whole = self.tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
        except Exception as error:  # a template is a small program: it fails in ways of its own
            raise UserError(
                f"the chat template in {self.tokenizer.name_or_path!r} cannot be used: {first_line(error)}",
                "model.template=plain puts the prompt and a new line",
            ) from error
        return self.tokenizer(whole, add_special_tokens=False)["input_ids"]

    def completion(self, text: str) -> list[int]:
        """Tokens of a completion and the end token."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids if self.end is None else [*ids, self.end]

    def row(self, item: Exchange, options: Sequence[str]) -> Row:
        """The prompt with one completion, or with several side by side."""
        head = self.prompt(item.prompt) or [self.end or 0]
        said = [self.completion(option) or [self.end or 0] for option in options]
        room = self.max_length - min(len(head), self.max_length // 2)  # tokens that a completion may take
        said = [ids[: max(1, room)] for ids in said]
        head = shortened(head, self.max_length - max(map(len, said)) + 1)
        tokens, position, segment = list(head), list(range(len(head))), [0] * len(head)
        for number, ids in enumerate(said, 1):
            tokens += ids[:-1]  # nothing is predicted from the last one
            position += range(len(head), len(head) + len(ids) - 1)
            segment += [number] * (len(ids) - 1)
        at, token, option = [], [], []
        start = len(head)
        for number, ids in enumerate(said):
            at += [len(head) - 1, *range(start, start + len(ids) - 1)]
            token += ids
            option += [number] * len(ids)
            start += len(ids) - 1
        columns = tokens, position, segment, [place - len(tokens) for place in at], token, option
        return Row(*(np.array(column, np.int32) for column in columns))


def shortened(ids: list[int], limit: int) -> list[int]:
    """At most `limit` tokens, at least one: those in the middle go."""
    if len(ids) <= limit:
        return ids
    limit = max(1, limit)
    return ids[: limit // 2] + ids[len(ids) - (limit - limit // 2) :]


def collated(rows: Sequence[Row], dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """What the network reads, padded in front so that all rows end together: (b, L), the mask (b, 1, L, L) additive.

    The mask is written out because forward derivatives and vmap take no other.
    """
    width = max(len(row.tokens) for row in rows)
    tokens = torch.zeros(len(rows), width, dtype=torch.int64)  # (b, L)
    position = torch.zeros_like(tokens)
    segment = torch.full_like(tokens, -1)  # -1 is padding
    for place, row in enumerate(rows):
        first = width - len(row.tokens)
        for whole, part in ((tokens, row.tokens), (position, row.position), (segment, row.segment)):
            whole[place, first:] = torch.from_numpy(part)
    earlier = torch.ones(width, width, dtype=torch.bool).tril()
    mine = (segment[:, None, :] == segment[:, :, None]) | (segment[:, None, :] == 0)  # (b, reader, read)
    seen = mine & earlier & (segment[:, None, :] >= 0)
    seen |= torch.eye(width, dtype=torch.bool)  # padding reads itself: a row without anything to read has no softmax
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)[:, None]
    found = {"input_ids": tokens, "attention_mask": mask, "position_ids": position}
    return {name: value.to(device) for name, value in found.items()}


def labels(rows: Sequence[Row], device: torch.device) -> Tensor:
    """(b, K) tokens that the last K places of each row predict, IGNORED elsewhere; rows of one completion each."""
    width = max(len(row.token) for row in rows)
    found = torch.full((len(rows), width), IGNORED)
    for place, row in enumerate(rows):
        found[place, width - len(row.token) :] = torch.from_numpy(row.token)
    return found.to(device)


def tail(rows: Sequence[Row]) -> int:
    """K, the places at the end that predict something."""
    return max(-int(row.at.min()) for row in rows)


def gathered(rows: Sequence[Row], device: torch.device) -> Mapping[str, Tensor]:
    """(m,) each: row, place from the end, token and option of every prediction in a batch."""
    columns = {
        "row": np.repeat(np.arange(len(rows)), [len(row.at) for row in rows]),
        **{name: np.concatenate([getattr(row, name) for row in rows]) for name in ("at", "token", "option")},
    }
    return {name: torch.from_numpy(column).long().to(device) for name, column in columns.items()}
