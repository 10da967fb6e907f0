"""Servers for tests: Prefect's, as its user would have configured it, with less patience in its clients."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from flows.server.temporary import Server


@contextmanager
def configured(patience: float = 2.0) -> Iterator[Server]:
    """A server of its own in a process, configured within the block; requests wait `patience` seconds, twice."""
    server = Server()
    assert server.why_not_there() == ""
    settings = {PREFECT_API_URL: server.url, PREFECT_API_REQUEST_TIMEOUT: patience, PREFECT_CLIENT_MAX_RETRIES: 1}
    try:
        with temporary_settings(settings):
            yield server
    finally:
        server.process.kill()
        server.process.wait()
