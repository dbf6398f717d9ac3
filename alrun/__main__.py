"""`python -m alrun`."""

from .cli import main

main()
