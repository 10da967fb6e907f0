"""Exports of a dataset version in the formats that others read: one file a format, and a line in a table of names.

The table is models/config/formats.py's, which configurations and help texts read without any of this.
"""

from importlib import import_module

from models.config.formats import FORMATS
from storage.exports.formats.base import Format


def format_of(name: str) -> Format:
    """The format of that name; its file is imported only now."""
    module, _, kind = FORMATS[name].partition(":")
    form = getattr(import_module(module), kind)()
    assert isinstance(form, Format), name
    return form
