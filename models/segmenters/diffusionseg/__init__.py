"""DiffusionSeg's decoder on a backbone's features."""
