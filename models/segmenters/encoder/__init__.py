"""DiffusionSeg's decoder on a frozen encoder's features."""
