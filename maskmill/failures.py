"""How a command ends that cannot do what it was asked to: one line for the user, or a bug with its traceback in a file.

UserError and OSError are for the user, and so is memory that ran out. Any other exception is a bug in maskmill,
whatever its type: a ValueError of a library as well. Knows nothing of the commands.
"""

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from importlib.metadata import version as installed_version
from textwrap import shorten
from typing import Any

import typer

from models.errors import UserError

KEPT = "what is committed is kept"
STOPPED = f"maskmill: stopped; {KEPT}, the same command resumes"
# Python's, torch's and Dask's, by name: importing the latter two takes seconds. Of a Dask worker that was killed the
# usual cause is memory.
OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError", "KilledWorker")

debug: ContextVar[bool] = ContextVar("debug", default=False)  # --debug: tracebacks go to the screen


@contextmanager
def checked() -> Iterator[None]:
    """Around what is read and checked: what is refused leaves with 2 and one line, and nothing was written."""
    try:
        yield
    except (UserError, OSError) as error:
        raise _end(in_a_line(error), code=2) from None


@contextmanager
def running() -> Iterator[None]:
    """Around a flow: whatever ends it leaves with 1 and one line; PREFECT_LOGGING_LEVEL=ERROR has Prefect say where."""
    from flows.server.configured import check_server
    from flows.server.temporary import end_server_with_us, stopping_at_signals

    try:
        check_server()
        with stopping_at_signals(STOPPED, temporary=end_server_with_us()):
            yield
    except KeyboardInterrupt:
        typer.echo(STOPPED, err=True)
        raise typer.Exit(1) from None
    except UserError as error:  # which says what to do: without that the same command fails again
        raise _end(f"failed: {in_a_line(error)}; {KEPT}") from None
    except OSError as error:
        raise _end(f"failed: {in_a_line(error)}; {KEPT}, the same command resumes") from None
    except Exception as error:
        raise _end(_other(error, f"; {KEPT}")) from None


def reporting_bugs(command: Callable[..., None]) -> Callable[..., None]:
    """A command that ends as this module says, too, where an exception comes past `checked` and `running`."""

    @wraps(command)
    def reported(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except (typer.Exit, typer.Abort, BrokenPipeError):  # the last where a reader, as `head`, has had enough
            raise
        except (UserError, OSError) as error:
            raise _end(in_a_line(error)) from None
        except Exception as error:
            raise _end(_other(error)) from None

    return reported


def in_a_line(error: BaseException) -> str:
    """An error's text on one line."""
    return " ".join(str(error).split())


def _end(line: str, code: int = 1) -> typer.Exit:
    """Say it, and leave with the code."""
    typer.echo(f"maskmill: {line}", err=True)
    return typer.Exit(code)


def _other(error: Exception, after: str = "") -> str:
    """What to say of an exception that is neither a UserError nor an OSError."""
    said = shorten(f"{type(error).__name__}: {in_a_line(error)}", 300)
    if type(error).__name__ in OUT_OF_MEMORY:
        return f"memory ran out ({said}); use smaller batches or fewer workers, or free memory{after}"
    return f"this is a bug in maskmill, not in what it was given: {said}; {_traceback(error)}; please report it{after}"


def _traceback(error: Exception) -> str:
    """Show or keep the traceback, and say where it is."""
    told = "".join(traceback.format_exception(error))
    facts = f"maskmill {installed_version('maskmill')}, Python {platform.python_version()}, {platform.platform()}"
    if not debug.get():
        try:
            number, name = tempfile.mkstemp(prefix="maskmill-bug-", suffix=".txt")
            with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{facts}\n{' '.join(sys.argv)}\n\n{told}")
            return f"its traceback is in {name}"
        except OSError:
            pass  # nowhere to write to
    typer.echo(told, err=True)
    return "its traceback is above"
