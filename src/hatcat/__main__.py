"""``python -m hatcat``."""

from hatcat.cli import main

main()
