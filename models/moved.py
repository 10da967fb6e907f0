"""Import paths of an earlier release: they work for one more release, with a DeprecationWarning that names the new."""

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


def moved(module: str, **places: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module whose names have moved to other modules and to `maskmill`.

    places: name -> the module that holds it.
    """

    def getattr_of_module(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now maskmill.{name}; import that", DeprecationWarning, stacklevel=2)
        return getattr(import_module(places[name]), name)

    return getattr_of_module
