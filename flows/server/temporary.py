"""Prefect's temporary server, started where none is configured, and how we end with it and it with us."""

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

# Reads until the other end of its pipe closes, which the kernel sees to when that process is gone.
WATCH = 'trap "" INT TERM; read _; kill "$0" 2>/dev/null'


@cache
def end_server_with_us() -> bool:
    """Start the server now, and beside it a shell that stops it once we are gone; whether there is such a server.

    UserError if it does not start.
    Prefect stops its server when Python exits; a process that is killed does not get there, and leaves it running.
    """
    if PREFECT_API_URL.value():
        return False
    server = SubprocessASGIServer()  # one per process: Prefect's clients will find it started
    try:
        server.start()
    except Exception as error:  # of Prefect and of its HTTP library, which have no error in common
        raise UserError(
            f"Prefect's temporary server did not start ({error}); try again, with a longer "
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS where the machine is busy"
        ) from error
    assert server.server_process is not None
    watch = subprocess.Popen(["sh", "-c", WATCH, str(server.server_process.pid)], stdin=subprocess.PIPE)
    assert watch.stdin is not None
    atexit.register(watch.stdin.close)  # which keeps it open until then
    return True


@contextmanager
def stopping_at_signals(farewell: str, temporary: bool) -> Iterator[None]:
    """Meanwhile SIGTERM stops us as Ctrl-C does, with a KeyboardInterrupt, which Prefect tells its server of.

    With a `temporary` server we leave at once with the line `farewell` and exit code 1. Ctrl-C in a terminal, and what
    `timeout` sends, reaches that server too, and Prefect would try for minutes to tell it; and what is committed is as
    safe from this as from a kill.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _leaving_at_once(farewell) if temporary else nullcontext():
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _leaving_at_once(farewell: str) -> Iterator[None]:
    """Prefect puts a handler of its own in the place of ours while a flow runs; this pipe hears of a signal first."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    woken = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    Thread(target=_leave_when_told, args=(told, farewell), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        os.close(tell)  # which ends the thread


def _leave_when_told(told: int, farewell: str) -> None:
    while numbers := os.read(told, 64):
        if {signal.SIGINT, signal.SIGTERM} & set(numbers):
            os.write(2, f"\n{farewell}\n".encode())
            os._exit(1)
    os.close(told)
