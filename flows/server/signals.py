"""SIGTERM and Ctrl-C while a flow runs."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Thread


@contextmanager
def stopping_at_signals(farewell: str, temporary: bool) -> Iterator[None]:
    """Within the block SIGTERM stops this process as Ctrl-C does: by a KeyboardInterrupt, which Prefect reports.

    With a `temporary` server, whose record of the run nobody will read, the process exits at once with the line
    `farewell` and exit code 1. Committed work is safe, as it is from a kill.
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
