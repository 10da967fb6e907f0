"""The dataset on disk: the only package that knows Zarr and Icechunk.

A room for each kind of thing on disk: `dataset`, `photos`, `runs`, `results` and `exports`.
"""
