"""Backbones in one file, as fine-tunes are shared: what they are, their configurations, and their networks."""
