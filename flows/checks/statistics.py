"""Checks before statistics are computed."""

from pathlib import Path

from storage.places import check_place
from storage.sources import Source

TABLES = "samples"  # folder below --out that identifies the output of an earlier run


def check_statistics(subject: Source, reference: Source | None, out: Path) -> None:
    """UserError if the statistics cannot be computed or written. Writes nothing."""
    sources = [source for source in (subject, reference) if source is not None]
    datasets = [source.path for source in sources]
    check_place(out, "statistics", is_ours=lambda folder: (folder / TABLES).is_dir(), outside=datasets)
    for source in sources:
        source.check()
