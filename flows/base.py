"""The flow decorator of this project: a flow whose work does not depend on Prefect's API (tasks/api/tracking.py).

Prefect records a flow's parameters as JSON, which cannot hold file names that are not UTF-8: they are recorded escaped.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

import prefect
from prefect.task_runners import TaskRunner

from flows.server.temporary import temporary_server, why_not_there
from models.errors import encodable
from tasks.api import tracking
from tasks.api.tracking import P, R


class Flow(prefect.Flow[P, R]):
    """A flow that runs without Prefect where its API fails."""

    def on(self, runner: TaskRunner[Any]) -> "Flow[P, R]":
        """The flow, with its submitted tasks on another runner."""
        other = copy(self)
        other.task_runner = runner
        return other

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {name: _encodable(value) for name, value in super().serialize_parameters(parameters).items()}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]  # no return_state
        if not tracking.is_outermost():
            return self._run(*args, **kwargs)
        with temporary_server(), tracking.trying_again():  # also where no command has one: in notebooks and benchmarks
            if cause := why_not_there():
                tracking.give_up("its start", cause)
            return self._run(*args, **kwargs)

    def _run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        def plain() -> R:
            with tracking.without_prefect(self.task_runner):
                return self.fn(*args, **kwargs)

        def tracked(fn: Callable[P, R]) -> R:
            noting = copy(self)
            noting.fn = fn
            return super(Flow, noting).__call__(*args, **kwargs)

        if not tracking.is_tracked():
            return plain()
        return tracking.through_prefect(f"the flow {self.name}", tracked, self.fn, plain)


def flow(*, name: str) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """`prefect.flow`, as a flow of this project."""

    def decorated(fn: Callable[P, R]) -> Flow[P, R]:
        return Flow(fn, name=name)

    return decorated


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    return {_encodable(name): _encodable(each) for name, each in value.items()} if isinstance(value, dict) else value
