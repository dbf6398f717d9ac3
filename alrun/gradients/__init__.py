"""Per-example gradients of the current model: products, lengths, vectors; head, last block, adapters or everything."""

from .head import HeadGradients
from .network import NetworkGradients
from .store import stored

__all__ = ["HeadGradients", "NetworkGradients", "stored"]
