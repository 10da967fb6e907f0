"""Where datasets live. The only importer of zarr and icechunk."""
