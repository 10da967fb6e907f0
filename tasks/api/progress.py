"""Progress of a flow: bars on the terminal, and a progress artifact in the run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from tqdm import tqdm

from tasks.api.tracking import attempt


@contextmanager
def sampling_progress(total: int, title: str = "sampling") -> Iterator[Callable[[int, int], None]]:
    """A titled bar and an artifact for `total` samples, updated by a callback(samples done in a shard, shard size)."""

    def create() -> UUID:
        return cast(UUID, create_progress_artifact(0.0, key="sampling", description=f"{total} samples to draw"))

    artifact = attempt("the progress of sampling", create)
    bar, before = tqdm(total=total, desc=title, unit="img", disable=total == 0), 0

    def on_step(done: int, of: int) -> None:
        nonlocal before
        bar.n = before + done
        bar.refresh()
        if done == of:
            before = bar.n
            if artifact is not None:
                attempt("the progress of sampling", lambda: update_progress_artifact(artifact, 100 * before / total))

    with bar:
        yield on_step


def advance(bar: "tqdm[None]", before: int) -> Callable[[int], None]:
    """A callback that moves the bar to `before` plus the steps done."""
    return lambda done: bar.update(before + done - bar.n) and None
