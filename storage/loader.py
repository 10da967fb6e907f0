"""Earlier location of `KeptSamples`, which is in storage/runs/loader.py."""

from models.moved import moved

__getattr__ = moved(__name__, KeptSamples="storage.runs.loader")
