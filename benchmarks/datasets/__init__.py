"""Benchmarks of what is made of a dataset: its statistics, its report and its exports."""
