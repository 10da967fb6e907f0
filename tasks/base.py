"""The house task decorator.

Prefect's caching is off: it looks at a task's own lines only, so a change in the pure code behind a thin task would
leave a stale hit. The store is the cache: every task skips what is committed.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import prefect
from prefect import Task
from prefect.cache_policies import NO_CACHE

P = ParamSpec("P")
R = TypeVar("R")


def task(*, name: str | None = None, task_run_name: str | None = None) -> Callable[[Callable[P, R]], Task[P, R]]:
    """`prefect.task` without a cache."""
    return prefect.task(name=name, task_run_name=task_run_name, cache_policy=NO_CACHE)
