"""Datasets: one file per family of sources."""

from .load import load

__all__ = ["load"]
