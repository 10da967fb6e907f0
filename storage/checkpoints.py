"""Where segmenters were loaded in an earlier release; it is storage/runs/checkpoints.py."""

from models.moved import moved

__getattr__ = moved(__name__, load_segmenter="storage.runs.checkpoints")
