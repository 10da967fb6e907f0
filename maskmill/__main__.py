"""`python -m maskmill` is the command line."""

from maskmill.cli import app

app()
