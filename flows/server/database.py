"""The temporary server's database, copied from one that the user's cache keeps: to create its tables takes seconds.

The copy in the cache is disposable, and what goes wrong with it costs only those seconds.
"""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import prefect

from models.atomic import replacing
from models.paths import cache_folder


def kept() -> Path:
    """The cache's database for the installed version of Prefect."""
    return cache_folder() / f"prefect-{prefect.__version__}.db"


def copy_to(database: Path) -> None:
    """Copy the cache's database to a new file, if there is a sound one."""
    with suppress(OSError):
        shutil.copyfile(kept(), database)
        if not _is_sound(database):
            database.unlink()


def keep(database: Path) -> None:
    """Copy a new server's database, before its first run, to the cache, if it can be written to."""
    with suppress(OSError, sqlite3.Error):
        kept().parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(kept(), mark=f".{os.getpid()}") as file,
            closing(sqlite3.connect(database)) as source,
            closing(sqlite3.connect(file)) as target,
        ):
            source.backup(target)


def forget() -> None:
    """Remove the cache's database."""
    with suppress(OSError):
        kept().unlink()


def _is_sound(database: Path) -> bool:
    try:
        with closing(sqlite3.connect(database)) as opened:
            is_ok = opened.execute("PRAGMA quick_check").fetchall() == [("ok",)]
            return is_ok and bool(opened.execute("SELECT version_num FROM alembic_version").fetchall())
    except sqlite3.Error:
        return False
