"""Masks that people mended in other tools, read back and compared with the dataset that they came from."""
