"""The mathematics: arrays in, arrays out. tests/test_boundaries.py lists which folder may import which."""
