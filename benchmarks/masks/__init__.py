"""Benchmarks of masks against ground truth: AttentionCut, its parts and presets, pocket, and screening."""
