"""Data on disk; the only package that knows Zarr and Icechunk. Builds on models/, knows nothing of flows.

One subpackage for each kind of data on disk: `dataset` (reading, building, versions), `photos` (folders and pictures),
`runs` (trained segmenters), `results` (masks, predictions and scores of photographs), `exports` (a version in other
formats). The modules beside them are shared: `atomic` replaces files and folders, `places` checks output paths, `lock`
keeps a second writer out, `sources` opens a dataset or a folder alike, `text` escapes untrusted text.
"""
