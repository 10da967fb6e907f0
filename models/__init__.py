"""The mathematics: arrays in, arrays out. Knows no Prefect, no Zarr and none of the project's folders."""
