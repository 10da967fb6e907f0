"""Tuning: the numbers of a cut that suit a backbone, found from stored evidence without any truth."""
