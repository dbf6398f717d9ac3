"""Strategies side by side over many runs: tables, tests, figures. `alrun compare`."""

from .compute import Comparison, Options, compare
from .show import demand_format, show, write

__all__ = ["Comparison", "Options", "compare", "demand_format", "show", "write"]
