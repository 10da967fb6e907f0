"""The task decorator of this project.

Prefect's cache is off: its key covers a task's own lines only, so a change in the code that a thin task calls would
give a stale hit. The store is the cache: every task skips committed work.
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
