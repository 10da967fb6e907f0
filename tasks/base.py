"""The task and flow decorators of this project.

Prefect's cache is off: its key covers a task's own lines only, so a change in the code that a thin task calls would
give a stale hit. The store is the cache: every task skips committed work.

Prefect records a flow's parameters as JSON, which cannot hold file names that are not UTF-8: they are recorded escaped.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import prefect
from prefect import Flow, Task
from prefect.cache_policies import NO_CACHE

from models.errors import encodable

P = ParamSpec("P")
R = TypeVar("R")


def task(*, name: str | None = None, task_run_name: str | None = None) -> Callable[[Callable[P, R]], Task[P, R]]:
    """`prefect.task` without a cache."""
    return prefect.task(name=name, task_run_name=task_run_name, cache_policy=NO_CACHE)


class _Flow(Flow[P, R]):
    """A flow whose parameters are recorded as `encodable` text; the function gets them as they are."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {name: _encodable(value) for name, value in super().serialize_parameters(parameters).items()}


def flow(*, name: str) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """`prefect.flow` for flows whose parameters are paths of users' files."""

    def decorated(function: Callable[P, R]) -> Flow[P, R]:
        return _Flow(function, name=name)

    return decorated


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    return {_encodable(name): _encodable(each) for name, each in value.items()} if isinstance(value, dict) else value
