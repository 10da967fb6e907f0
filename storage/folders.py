"""Earlier location of `open_folder`, which is in storage/photos/folders.py."""

from models.moved import moved

__getattr__ = moved(__name__, open_folder="storage.photos.folders")
