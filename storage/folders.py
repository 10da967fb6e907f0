"""Where folders of photographs were opened in an earlier release; it is storage/photos/folders.py."""

from models.moved import moved

__getattr__ = moved(__name__, open_folder="storage.photos.folders")
