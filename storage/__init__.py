"""What lies on disk, and the only package that knows Zarr and Icechunk. Builds on models/, knows nothing of flows.

A room for each kind of thing: `dataset` (reading, building, versions), `photos` (folders and pictures), `runs` (trained
segmenters), `results` (masks, predictions and scores of photographs), `exports` (a version in the formats of others).
Beside them what all rooms use: `atomic` replaces a file or folder, `places` says whether one may be used, `lock` keeps
a second writer out, `sources` names a dataset or a folder alike, `text` makes text of unknown origin harmless.
"""
