"""Segmenters, a folder a family, and the table of their names."""
