"""Prefect's temporary server, started if none is configured; it and this process end together."""

import atexit
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from threading import Thread

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL

from models.errors import UserError

# Reads until the other end of its pipe closes; the kernel closes it when that process ends.
WATCH = 'trap "" INT TERM; read _; kill "$0" 2>/dev/null'


@cache
def end_server_with_us() -> bool:
    """Start the server, and a shell that stops it after this process ends; False if a server is configured.

    UserError if it does not start. Prefect itself stops its server only when Python exits, so a killed process would
    leave it running.
    """
    if PREFECT_API_URL.value():
        return False
    server = SubprocessASGIServer()  # one per process: Prefect's clients will find it started
    try:
        server.start()
    except Exception as error:  # from Prefect and its HTTP library, which share no base error
        raise UserError(
            f"Prefect's temporary server did not start ({error}); try again, with a longer "
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS if the machine is busy"
        ) from error
    assert server.server_process is not None
    watch = subprocess.Popen(["sh", "-c", WATCH, str(server.server_process.pid)], stdin=subprocess.PIPE)
    assert watch.stdin is not None
    atexit.register(watch.stdin.close)  # holds a reference, so the pipe stays open until then
    return True


@contextmanager
def stopping_at_signals(farewell: str, temporary: bool) -> Iterator[None]:
    """Within the block SIGTERM stops this process as Ctrl-C does: by a KeyboardInterrupt, which Prefect reports.

    With a `temporary` server the process exits at once with the line `farewell` and exit code 1. Ctrl-C in a terminal
    and the signal of `timeout` stop that server too, and Prefect would try for minutes to report to it. Committed work
    is safe, as it is from a kill.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _leaving_at_once(farewell) if temporary else nullcontext():
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _leaving_at_once(farewell: str) -> Iterator[None]:
    """Exit at a signal, which this pipe receives first; Prefect replaces our signal handler while a flow runs."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    Thread(target=_exit_at_signal, args=(read_end, farewell), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write_end)  # ends the thread


def _exit_at_signal(read_end: int, farewell: str) -> None:
    while numbers := os.read(read_end, 64):
        if {signal.SIGINT, signal.SIGTERM} & set(numbers):
            os.write(2, f"\n{farewell}\n".encode())
            os._exit(1)
    os.close(read_end)
