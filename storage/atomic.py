"""Atomic replacement of files and folders, for code that writes beside the store: see `models.atomic`."""

from models.atomic import old_of, partial_of, put, replacing, replacing_folder

__all__ = ["old_of", "partial_of", "put", "replacing", "replacing_folder"]
