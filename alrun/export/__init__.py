"""From run folders to the tools people already have: long tables, annotation tools, trackers. Nothing is recomputed."""

from .command import export
from .items import write_selected
from .tables import long_table, write_table
from .trackers import TRACKERS, demand_tracker, track

__all__ = ["TRACKERS", "demand_tracker", "export", "long_table", "track", "write_selected", "write_table"]
