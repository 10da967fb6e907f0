"""Imports of maskmill's sibling packages, also if the user's folder has a `models/` or a `storage.py`.

Python searches the folder of a script or a notebook first. The finder here answers imports of our packages before
that, from the folder that contains maskmill. Knows nothing of the packages' content.
"""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from os.path import abspath, dirname, join, realpath
from types import ModuleType

ROOMS = ("analysis", "benchmarks", "flows", "models", "storage", "tasks")
ROOT = dirname(dirname(abspath(__file__)))


class _Finder:
    """Finds our packages in ROOT, and nothing else."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [ROOT]) if name in ROOMS else None


def claim_names() -> None:
    """Reserve the names for maskmill's packages; UserError if another module is already imported under one of them."""
    for name in ROOMS:
        if (module := sys.modules.get(name)) is not None and not _is_ours(name, module.__spec__):
            raise _user_error(
                f"{getattr(module, '__file__', None) or name} is imported as `{name}`, which hides maskmill's package "
                f"of that name; rename yours, or import maskmill in a process that does not use it"
            )
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


@cache
def warn_of_hidden() -> None:
    """Warn once about the user's modules that cannot be imported by name in this process."""
    if hidden := _shadowing():
        warnings.warn(
            f"maskmill has packages with the names of {', '.join(hidden.values())}: in this process `import "
            f"{next(iter(hidden))}` gives maskmill's; rename yours if you need it here",
            stacklevel=3,
        )


def put_first_on_path() -> None:
    """Let child processes, which inherit this process's sys.path, find our packages too."""
    if _shadowing():
        sys.path.insert(0, ROOT)


@contextmanager
def first_on_path() -> Iterator[None]:
    """`put_first_on_path` within a block."""
    before = list(sys.path)
    put_first_on_path()
    try:
        yield
    finally:
        sys.path[:] = before


def _shadowing() -> dict[str, str]:
    """Our packages' names -> the other modules that Python would find on its path under these names."""
    specs = {name: PathFinder.find_spec(name) for name in ROOMS}
    # A spec without a file is a folder without Python files, which hides no package.
    return {name: spec.origin for name, spec in specs.items() if spec and spec.origin and not _is_ours(name, spec)}


def _is_ours(name: str, spec: ModuleSpec | None) -> bool:
    places = (spec and spec.submodule_search_locations) or []
    return realpath(join(ROOT, name)) in map(realpath, places)


def _user_error(message: str) -> Exception:
    """A UserError; its class is loaded from its file, since `models` may be another package."""
    spec = spec_from_file_location("models.errors", join(ROOT, "models", "errors.py"))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    error: Exception = module.UserError(message)
    return error
