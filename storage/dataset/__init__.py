"""Datasets: Zarr arrays in an Icechunk repository, read, written and versioned."""
