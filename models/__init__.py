"""The mathematics: arrays in, arrays out. Which room may import which is a table in tests/test_boundaries.py."""
