"""Error handling of commands: one line for an error that the user can fix, a traceback in a file for a bug.

UserError, OSError and running out of memory are reported to the user. Any other exception is a bug in maskmill,
including a library's ValueError. Knows nothing of the commands.
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

from models.errors import TrialStopped, UserError

KEPT = "committed work is kept"
STOPPED = f"maskmill: stopped; {KEPT}, the same command resumes"
# Python's, torch's and Dask's errors, by name: importing the latter two takes seconds. A Dask worker is usually killed
# for its memory.
OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError", "KilledWorker")

debug: ContextVar[bool] = ContextVar("debug", default=False)  # --debug: tracebacks are printed


@contextmanager
def checked() -> Iterator[None]:
    """Wraps reading and checking: an error exits with code 2 and one line, before anything was written."""
    try:
        yield
    except (UserError, OSError) as error:
        raise _end(in_a_line(error), code=2) from None


@contextmanager
def running() -> Iterator[None]:
    """Wraps a flow: an error exits with code 1 and one line; PREFECT_LOGGING_LEVEL=ERROR makes Prefect say where."""
    try:
        from flows.server.configured import check_server
        from flows.server.signals import stopping_at_signals
        from flows.server.temporary import temporary_server

        check_server()
        with temporary_server() as temporary, stopping_at_signals(STOPPED, temporary):
            yield
    except KeyboardInterrupt:
        typer.echo(STOPPED, err=True)
        raise typer.Exit(1) from None
    except TrialStopped as stop:
        raise _end(in_a_line(stop)) from None
    except UserError as error:  # its message says what to do; without that, the same command would fail again
        raise _end(f"failed: {in_a_line(error)}; {KEPT}") from None
    except OSError as error:
        raise _end(f"failed: {in_a_line(error)}; {KEPT}, the same command resumes") from None
    except Exception as error:
        raise _end(_other(error, f"; {KEPT}")) from None


def reporting_bugs(command: Callable[..., None]) -> Callable[..., None]:
    """A command that also reports exceptions outside `checked` and `running`."""

    @wraps(command)
    def reported(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except (typer.Exit, typer.Abort, BrokenPipeError):  # the last if a reader such as `head` closes the pipe
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
    """Print the line, and return the exit with the code."""
    typer.echo(f"maskmill: {line}", err=True)
    return typer.Exit(code)


def _other(error: Exception, after: str = "") -> str:
    """The message for an exception that is neither a UserError nor an OSError."""
    summary = shorten(f"{type(error).__name__}: {in_a_line(error)}", 300)
    if type(error).__name__ in OUT_OF_MEMORY:
        return f"out of memory ({summary}); use smaller batches or fewer workers, or free memory{after}"
    return f"this is a bug in maskmill, not in its input: {summary}; {_traceback(error)}; please report it{after}"


def _traceback(error: Exception) -> str:
    """Print the traceback or write it to a file, and say where it is."""
    text = "".join(traceback.format_exception(error))
    facts = f"maskmill {installed_version('maskmill')}, Python {platform.python_version()}, {platform.platform()}"
    if not debug.get():
        try:
            descriptor, name = tempfile.mkstemp(prefix="maskmill-bug-", suffix=".txt")
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{facts}\n{' '.join(sys.argv)}\n\n{text}")
            return f"its traceback is in {name}"
        except OSError:
            pass  # no folder for temporary files is writable
    typer.echo(text, err=True)
    return "its traceback is above"
