"""From run folders to figures, and a CSV of every number drawn beside each. Nothing is recomputed; no torch.

`draw` is the way in. `files` and `reliability` read runs without matplotlib, for those who draw nothing.
"""
