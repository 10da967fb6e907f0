"""Export a dataset version: write a block of samples, and finish the export."""

from pathlib import Path

from storage.exports import writing
from storage.exports.plan import Block
from tasks.base import task


@task(name="export-block")
def export_block(path: Path, out: Path, block: Block) -> None:
    """Write a block of samples to the unfinished export."""
    writing.write_block(path, out, block)


@task(name="finish-export")
def finish_export(path: Path, out: Path, overwrite: bool) -> tuple[dict[str, int], dict[str, float]]:
    """Move the complete export to its final path; returns the format's counts, and what it measured."""
    return writing.finish_export(path, out, overwrite)
