"""Which pairs a dataset keeps: rules for each sample, and comparisons between samples."""
