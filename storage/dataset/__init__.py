"""Datasets in the store: their schema, reading, writing and checks. What users open them with is in `maskmill`."""

from models.moved import moved

__getattr__ = moved(__name__, open_dataset="storage.dataset.reader", diff="storage.dataset.reader")
