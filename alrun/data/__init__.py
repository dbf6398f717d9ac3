"""Datasets: one file per family of sources."""
