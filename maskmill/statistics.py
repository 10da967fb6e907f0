"""Measures of the images and masks of a dataset or a folder, and the comparison of two; see docs/statistics.md."""

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
