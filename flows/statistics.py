"""Statistics of a dataset or a folder, compared with a reference: measure both -> tables, figures and a page."""

from pathlib import Path

from pydantic import BaseModel

from flows.base import flow
from flows.checks.statistics import TABLES, check_statistics
from models.config.statistics import StatisticsConfig
from models.paths import GivenPath
from storage.sources import Source
from tasks.describing import compare_sources, measure_source


class StatisticsRecord(BaseModel):
    """The result of statistics: samples measured in both sources together, and unreadable pairs (failed)."""

    report: Path
    measured: int = 0
    failed: int = 0


@flow(name="statistics")
def statistics(
    config: StatisticsConfig, subject: Source, out: GivenPath, reference: Source | None = None
) -> StatisticsRecord:
    """Measure every sample of the subject and of the reference, if given, and write them side by side."""
    check_statistics(subject, reference, out)
    sources = {"subject": subject} | ({"reference": reference} if reference else {})
    tables = [out / TABLES / f"{name}.parquet" for name in sources]
    counts = [measure_source(source, table, config) for source, table in zip(sources.values(), tables, strict=True)]
    report = compare_sources(subject, reference, tables, out, config)
    return StatisticsRecord(report=report, **{name: sum(count[name] for count in counts) for name in counts[0]})
