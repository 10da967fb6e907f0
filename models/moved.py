"""Import paths of an earlier release: they work for one more, with a DeprecationWarning that names the new place."""

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


def moved(module: str, **places: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module whose names, once its own, are now in other modules and in `maskmill`.

    places: name -> the module that it is in.
    """

    def getattr_of_module(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is maskmill.{name} now; import that", DeprecationWarning, stacklevel=2)
        return getattr(import_module(places[name]), name)

    return getattr_of_module
