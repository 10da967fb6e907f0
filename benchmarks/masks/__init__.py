"""Benchmarks of masks: AttentionCut, its parts and presets, pocket, and screening, against exact truth."""
