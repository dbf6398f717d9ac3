"""Strategies: a view of the pool in, the next batch out; one file per family."""
