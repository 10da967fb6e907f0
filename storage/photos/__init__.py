"""Photographs and masks from picture files, and benchmarks' folders."""
