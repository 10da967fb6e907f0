"""Lines on stderr that say what was left out, dropped, resized or chosen of the files that a command was given."""

from pathlib import Path

import typer

from storage.photos.notes import Notes


def say(notes: Notes, subject: str, listed: Path | None = None) -> None:
    """Print the notes, if there are any, in one line. listed: the file in which the whole list will be."""
    if notes:
        typer.echo(f"maskmill: {subject}: {notes.line()}" + (f"; all in {listed}" if listed else ""), err=True)
