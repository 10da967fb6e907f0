"""The dataset on disk: the only package that knows Zarr and Icechunk.

One subpackage for each kind of data on disk: `dataset`, `photos`, `runs`, `results` and `exports`.
"""
