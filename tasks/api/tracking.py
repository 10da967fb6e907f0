"""Work that does not depend on Prefect's API: where that stays away, flows and tasks run as the functions they are.

Prefect's client repeats slow and lost requests itself. Where it gives up, a line on stderr says from where on the run
is not tracked, and the work continues: a function that has not begun runs without Prefect, and one that has ended keeps
its result or its error. Knows nothing of what the functions do.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

import httpx
from prefect._internal.concurrency import services
from prefect.context import FlowRunContext
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.exceptions import ParameterTypeError
from prefect.settings import PREFECT_API_URL
from prefect.task_runners import TaskRunner
from tqdm import tqdm

from tasks.api.proxies import CLIENTS

P = ParamSpec("P")
R = TypeVar("R")

ERRORS_OF_API = ("prefect", "httpx", "httpcore", "websockets")  # the packages that raise them

_runner: ContextVar[TaskRunner[Any] | None] = ContextVar("runner", default=None)  # of an enclosing flow without Prefect
_given_up: list[str] = []  # why the rest of the outermost flow runs without Prefect


def is_outermost() -> bool:
    """Whether no flow encloses the caller."""
    return FlowRunContext.get() is None and _runner.get() is None


def is_tracked() -> bool:
    """Whether what the caller starts runs through Prefect."""
    return not _given_up and _runner.get() is None


def through_prefect(name: str, call: Callable[[Callable[P, R]], R], fn: Callable[P, R], plain: Callable[[], R]) -> R:
    """`call(fn)`, which runs fn in Prefect's engine; `plain()` if Prefect fails before fn begins.

    call receives a function that notes the end of fn, whose result or error counts if Prefect fails after it.
    """
    ends: list[Future[R]] = []

    @wraps(fn)
    def noting(*args: P.args, **kwargs: P.kwargs) -> R:
        end: Future[R] = Future()
        try:
            end.set_result(fn(*args, **kwargs))
        except Exception as error:
            end.set_exception(error)
        ends.append(end)
        return end.result()

    try:
        return call(noting)
    except Exception as error:
        if not ends and isinstance(error, (ParameterTypeError, TypeError)):
            raise  # wrong arguments
        if not ends or ends[-1].exception() is not error:
            give_up(f"the {'end' if ends else 'start'} of {name}", error)
    return ends[-1].result() if ends else plain()


def attempt(what: str, request: Callable[[], R]) -> R | None:
    """The result of a request to Prefect's API; None if the caller is not tracked, or the request fails."""
    if not is_tracked():
        return None
    try:
        return request()
    except httpx.HTTPStatusError as error:  # the API answers, and refuses this request alone
        _say(f"Prefect did not take {what}: {_in_a_line(error)}")
    except Exception as error:
        give_up(what, error)
    return None


def give_up(what: str, error: Exception | str) -> None:
    """Say that Prefect's API failed at `what`, and let the rest of the outermost flow run without it."""
    if _given_up:
        return
    _given_up.append(error if isinstance(error, str) else _in_a_line(error))
    _say(f"the work continues, but Prefect does not track it from {what} on: {_given_up[0]}")
    for client in CLIENTS:
        client.send = _refuse
    EventsWorker.set_client_override(NullEventsClient)
    for service in list(services._active_services):  # they would repeat their requests until the process ends
        if service._task is not None and service._loop is not None:
            service._loop.call_soon_threadsafe(service._task.cancel)


@contextmanager
def trying_again() -> Iterator[None]:
    """Wraps the outermost flow: if Prefect is given up in it, the next one tries again."""
    sends = [client.send for client in CLIENTS]
    try:
        yield
    finally:
        if _given_up:
            _given_up.clear()
            EventsWorker.set_client_override(None)
            for client, send in zip(CLIENTS, sends, strict=True):
                client.send = send


@contextmanager
def without_prefect(runner: TaskRunner[Any]) -> Iterator[None]:
    """Wraps a flow's function that runs without Prefect: its tasks do too, and submitted ones run on `runner`."""
    with runner.duplicate() as started:
        token = _runner.set(started)
        try:
            yield
        finally:
            _runner.reset(token)


def submit_plain(fn: Callable[..., R], *args: Any, **kwargs: Any) -> Any:
    """A future of fn without Prefect, on the Dask workers of the enclosing flow, or at once where it has none."""
    flow = FlowRunContext.get()
    dask = getattr(_runner.get() or (flow and flow.task_runner), "client", None)
    if dask is not None:
        return dask.submit(fn, *args, pure=False, **kwargs)
    future: Future[R] = Future()
    future.set_result(fn(*args, **kwargs))
    return future


def is_of_api(error: BaseException | None) -> bool:
    """Whether an error is of Prefect's API, and not of a task that ran in another thread or on a Dask worker."""
    while error is not None:
        if type(error).__module__.split(".")[0] in ERRORS_OF_API or str(error).startswith("Failed to reach API"):
            return True
        error = error.__cause__
    return False


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise httpx.ConnectError("Prefect's API was given up")


def _in_a_line(error: BaseException) -> str:
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return " ".join(f"{type(error).__name__} {error} ({PREFECT_API_URL.value()})".split())


def _say(line: str) -> None:
    tqdm.write(f"maskmill: {line}", file=sys.stderr)
