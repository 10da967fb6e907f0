"""Benchmarks of a dataset's statistics, report and exports."""
