"""The task decorator of this project.

Prefect's cache is off: its key covers a task's own lines only, so a change in the code that a thin task calls would
give a stale hit. The store is the cache: every task skips committed work. Prefect's API may fail
(tasks/api/tracking.py).
"""

from collections.abc import Callable
from copy import copy
from typing import Any, Generic, Protocol, TypeVar

import prefect
from prefect.cache_policies import NO_CACHE

from tasks.api.proxies import ask_this_machine_directly
from tasks.api.tracking import P, R, is_of_api, is_tracked, submit_plain, through_prefect

ask_this_machine_directly()  # also on Dask workers, which do not import flows

T_co = TypeVar("T_co", covariant=True)


class Result(Protocol[T_co]):
    """The result of a submitted task, once there is one."""

    def result(self) -> T_co:
        """Wait for it, and raise what the task raised."""


class Task(prefect.Task[P, R]):
    """A task that runs without Prefect where its API fails."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]  # no return_state
        def plain() -> R:
            return self.fn(*args, **kwargs)

        def tracked(fn: Callable[P, R]) -> R:
            noting = copy(self)
            noting.fn = fn
            return super(Task, noting).__call__(*args, **kwargs)

        return through_prefect(f"the task {self.name}", tracked, self.fn, plain) if is_tracked() else plain()

    def submit(self, *args: Any, **kwargs: Any) -> Result[R]:  # type: ignore[override]  # no return_state
        """Run the task on the flow's runner."""
        if is_tracked():
            return _Submitted(super().submit(*args, **kwargs), lambda: submit_plain(self.fn, *args, **kwargs))
        return submit_plain(self.fn, *args, **kwargs)


class _Submitted(Generic[R]):
    """A submitted task, and a way to run it without Prefect."""

    def __init__(self, tracked: Result[R], plain: Callable[[], Result[R]]):
        self._tracked, self._plain = tracked, plain

    def result(self) -> R:
        try:
            return self._tracked.result()
        except Exception as error:
            if not is_of_api(error):
                raise
        return self._plain().result()


def task(*, name: str | None = None, task_run_name: str | None = None) -> Callable[[Callable[P, R]], Task[P, R]]:
    """`prefect.task` without a cache."""

    def decorated(fn: Callable[P, R]) -> Task[P, R]:
        return Task(fn, name=name, task_run_name=task_run_name, cache_policy=NO_CACHE)

    return decorated
