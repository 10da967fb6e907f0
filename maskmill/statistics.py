"""Measures of images and masks, of a dataset or a folder, and two of them side by side; docs/statistics.md."""

from analysis.comparison import NAMES, Measurements, side_by_side
from analysis.statistics import folder_statistics, sample_statistics, statistics_summary, table_statistics

__all__ = [
    "NAMES",
    "Measurements",
    "folder_statistics",
    "sample_statistics",
    "side_by_side",
    "statistics_summary",
    "table_statistics",
]
