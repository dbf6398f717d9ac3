"""alrun: choose which examples to label next, and show that the choice is right."""

__version__ = "0.1.0"
