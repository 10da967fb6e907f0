"""Benchmarks of segmenters: how well they learn, how fast they are and what memory they take."""
