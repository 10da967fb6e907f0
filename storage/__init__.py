"""The dataset on disk: the only package that knows Zarr and Icechunk.

`storage.dataset` reads, `storage.writer` builds, `storage.shards` is what a task reads and writes one shard with.
"""
