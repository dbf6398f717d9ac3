"""Encoders: frozen networks and transforms, item -> features."""

from collections.abc import Mapping
from typing import Any

from ..config import option
from ..data.source import Kind

AUTO = {"text": "minilm", "pair": "minilm", "instruction": "tfidf", "image": "none", "table": "none"}


def settle(params: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """`encoder=auto` as a real encoder with its shipped options: for texts, for instructions, none for the rest."""
    return option("encoder", AUTO[kind]) if params["name"] == "auto" else dict(params)
