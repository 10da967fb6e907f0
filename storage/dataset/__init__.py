"""Datasets: Zarr arrays in an Icechunk repository, read, written and versioned."""

from models.moved import moved

__getattr__ = moved(__name__, open_dataset="storage.dataset.reader", diff="storage.dataset.reader")
