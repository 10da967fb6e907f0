"""Earlier location of `load_segmenter`, which is in storage/runs/checkpoints.py."""

from models.moved import moved

__getattr__ = moved(__name__, load_segmenter="storage.runs.checkpoints")
