"""Benchmarks of segmenters: their scores, speed and memory."""
