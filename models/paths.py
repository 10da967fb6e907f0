"""Paths as people write them: `~` is the home folder, and what cannot be a path is refused. Reads no file."""

import os
import re
from pathlib import Path
from typing import Annotated

from platformdirs import user_cache_path
from pydantic import AfterValidator

from models.errors import UserError


def given_path(given: str | Path) -> Path:
    """The path that the user means; UserError if it is a URL, has a NUL, or needs a home folder that is not known.

    `~` and `~/` begin in the home folder, and `~name/` in that of a user; a file here that is called so comes first.
    `$HOME` stays as it is: shells replace it.
    """
    text = os.fspath(given)
    if "\0" in text:
        raise UserError(f"{text!r}: expected a path, got one with a NUL character; remove it")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text) and not os.path.lexists(text):
        raise UserError(f"{text}: expected a path of this machine, got a URL; give the path alone, without the scheme")
    if not text.startswith("~") or (text.partition("/")[0] != "~" and os.path.lexists(text)):
        return Path(given)
    home = os.path.expanduser(text)
    if not os.path.isabs(home) or (text.partition("/")[0] == "~" and not os.path.isabs(os.environ.get("HOME", "/"))):
        user = text.partition("/")[0].removeprefix("~")
        unknown = f"no user {user} is known" if user else "HOME is not a folder's path"
        raise UserError(f"{text}: expected a path, and {unknown}; write the whole path, from / on")
    return Path(home)


def cache_folder() -> Path:
    """The folder of what maskmill keeps in the user's cache, $XDG_CACHE_HOME/maskmill or ~/.cache/maskmill."""
    return given_path(user_cache_path("maskmill"))


GivenPath = Annotated[Path, AfterValidator(given_path)]
