"""Prefect's temporary server, started where none is configured: it ends with its process, however that ends."""

import atexit
import subprocess

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL

# Reads until the other end of its pipe closes, which the kernel sees to when that process is gone.
WATCH = 'trap "" INT TERM; read _; kill "$0" 2>/dev/null'


def end_server_with_us() -> None:
    """Start the server now, and beside it a shell that stops it once we are gone.

    Prefect stops its server when Python exits; a process that is killed does not get there, and leaves it running.
    """
    if PREFECT_API_URL.value():
        return
    server = SubprocessASGIServer()  # one per process: Prefect's clients will find it started
    server.start()
    watch = subprocess.Popen(["sh", "-c", WATCH, str(server.server_process.pid)], stdin=subprocess.PIPE)
    atexit.register(watch.stdin.close)  # which keeps it open until then
