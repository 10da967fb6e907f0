"""Exports of a dataset version to other formats: one file per format, and a line in a table of names.

The table is in models/config/export.py, so that configurations and help texts need not import this package.
"""

from importlib import import_module

from models.config.export import FORMATS
from storage.exports.formats.base import Format


def format_of(name: str) -> Format:
    """The format of that name; its module is imported on first use."""
    module, _, class_name = FORMATS[name].partition(":")
    form = getattr(import_module(module), class_name)()
    assert isinstance(form, Format), name
    return form
