"""Prefect's temporary server, started if none is configured; it and this process end together.

Its database is its own and ends with it, so what other programs do to the user's, in `~/.prefect`, does not matter, nor
does a home that cannot be written to.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import prefect.context
from prefect.settings import PREFECT_API_URL

from flows.server import process
from flows.server.database import copy_to, forget, keep

PATIENCE = 60  # seconds until a run begins without a server that does not answer
# For Prefect's clients: a server of our own that does not answer for a minute is done without.
CLIENT = {
    "PREFECT_CLIENT_MAX_RETRIES": "1",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",  # Prefect would start a second one
}


class Server:
    """A server's process, which listens on a free port of this machine."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="maskmill-prefect-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)  # in case the server's process was killed
        self._log, self._database = folder / "server.log", folder / "prefect.db"
        copy_to(self._database)
        self._is_new = not self._database.exists()
        self._begun = time.monotonic()
        self._answers = False
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening, open(self._log, "wb") as log:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
            self.process = subprocess.Popen(
                [sys.executable, "-P", process.__file__, str(listening.fileno()), str(folder)],
                stdin=subprocess.PIPE,  # closed by the kernel when this process ends
                stdout=log,
                stderr=log,
                env=_environment(folder),
                cwd=folder,  # where no prefect.toml, pyproject.toml or .env is
                pass_fds=[listening.fileno()],
                start_new_session=True,  # a terminal's Ctrl-C is for this process
            )

    def why_not_there(self) -> str:
        """Wait for the first answer; the reason if there is none, otherwise empty."""
        while not self._answers and self.process.poll() is None:
            try:
                httpx.get(f"{self.url}/health", timeout=5, trust_env=False).raise_for_status()
                self._answers = True
                if self._is_new:
                    keep(self._database)
            except httpx.HTTPError as error:
                if time.monotonic() > self._begun + PATIENCE:
                    return f"its temporary server did not answer within {PATIENCE} s ({type(error).__name__})"
                time.sleep(0.1)
        if self._answers:
            return ""
        forget()  # in case it is the cause
        return f"its temporary server did not start ({self._last_words()})"

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines()]
        said = [line for line in lines if line and "startup failed" not in line]
        return said[-1] if said else f"exit code {self.process.returncode}"


_servers: list[Server] = []  # of this process; the last one is asked
_cause: list[str] = []  # why none could be started


@contextmanager
def temporary_server() -> Iterator[bool]:
    """Within the block Prefect has a temporary server, if none is configured; yields whether that is so.

    Does not wait for it: `why_not_there` does.
    """
    if PREFECT_API_URL.value():
        yield False
        return
    try:
        if not _servers or _servers[-1].process.poll() is not None:
            _servers.append(Server())
        settings = CLIENT | {"PREFECT_API_URL": _servers[-1].url}
    except OSError as error:
        _cause.append(f"its temporary server could not be started ({error})")
        settings = CLIENT
    with _variables(settings):
        try:
            yield True
        finally:
            _cause.clear()


def why_not_there() -> str:
    """The reason if the temporary server is to be asked, and does not answer after a wait; otherwise empty."""
    if _cause:
        return _cause[-1]
    is_asked = _servers and PREFECT_API_URL.value() == _servers[-1].url
    return _servers[-1].why_not_there() if is_asked else ""


@contextmanager
def _variables(settings: dict[str, str]) -> Iterator[None]:
    """Set environment variables within the block, for Prefect in this process and its children."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    prefect.context.refresh_global_settings_context()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        prefect.context.refresh_global_settings_context()


def _environment(folder: Path) -> dict[str, str]:
    """Of the server: the user's PREFECT_ variables are for the user's own server."""
    settings = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder}/prefect.db",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "false",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | settings
