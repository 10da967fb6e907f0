"""Export a dataset version: a block of samples, and what comes last."""

from pathlib import Path

from storage.exports import writing
from storage.exports.plan import Block
from tasks.base import task


@task(name="export-block")
def export_block(path: Path, out: Path, block: Block) -> None:
    """Write a block of samples into the export under way."""
    writing.write_block(path, out, block)


@task(name="finish-export")
def finish_export(path: Path, out: Path, overwrite: bool) -> dict[str, int]:
    """Put the export, whole, in its place; returns counts of what its format could not keep as it was."""
    return writing.finish_export(path, out, overwrite)
