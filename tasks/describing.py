"""Measure a dataset or a folder, and compare it with a reference: read, measure, write."""

import sys
from pathlib import Path

from tqdm import tqdm

from models.config.statistics import StatisticsConfig
from models.errors import UserError
from storage.atomic import replacing
from storage.dataset.reader import Dataset
from storage.photos.notes import NOTES_FILE
from storage.sources import Source, usable
from tasks.base import task


@task(name="measure")
def measure_source(source: Source, table: Path, config: StatisticsConfig) -> dict[str, int]:
    """Write the parquet table of all samples' statistics; returns the numbers of measured and of unreadable pairs.

    UserError if no pair can be read.
    """
    from analysis.statistics import folder_statistics, sample_statistics, table_statistics

    data, label, failed = source.open(), source.label(), 0
    with tqdm(total=len(usable(data)), desc=label, unit="img") as bar:
        if isinstance(data, Dataset):
            frame = sample_statistics(data, config.normalisation, bar.update).join(table_statistics(data.frame()))
        else:
            frame = folder_statistics(data, config.normalisation, bar.update)
            for error in frame["error"][frame["error"] != ""]:
                bar.write(f"maskmill: {error}", file=sys.stderr)
                failed += 1
    if failed == len(frame):
        raise UserError(f"{label}: none of {failed} pairs could be read")
    table.parent.mkdir(parents=True, exist_ok=True)
    source.notes().write(table.with_name(f"{table.stem}-{NOTES_FILE}"))
    with replacing(table) as partial:
        frame.to_parquet(partial)
    return {"measured": len(frame) - failed, "failed": failed}


@task(name="compare")
def compare_sources(
    subject: Source, reference: Source | None, tables: list[Path], out: Path, config: StatisticsConfig
) -> Path:
    """Write the tables and the page of the measurements; returns the path of the page."""
    import pandas as pd

    from analysis.comparison import Measurements, write_comparison

    sources = [subject] if reference is None else [subject, reference]
    measured = [
        Measurements(source.label(), pd.read_parquet(table), config.pairs, config.seed)
        for source, table in zip(sources, tables, strict=True)
    ]
    for stale in set(tables[0].parent.glob("*.parquet")) - set(tables):
        stale.unlink()  # from an earlier run with a reference
    return write_comparison(measured[0], measured[1] if reference else None, out)
