"""What is checked before statistics are taken."""

from pathlib import Path

from storage.places import check_place
from storage.sources import Source

TABLES = "samples"  # folder below --out, by which an earlier run's is known


def check_statistics(subject: Source, reference: Source | None, out: Path) -> None:
    """UserError for anything that would stop it. Writes nothing."""
    sources = [source for source in (subject, reference) if source is not None]
    datasets = [source.path for source in sources]
    check_place(out, "statistics", is_ours=lambda folder: (folder / TABLES).is_dir(), outside=datasets)
    for source in sources:
        source.check()
