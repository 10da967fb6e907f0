"""A command that runs beside the page: started once at a time, its last lines kept, ended with the page."""

import re
import subprocess
from collections import deque
from collections.abc import Sequence
from threading import Lock, Thread
from typing import Any

from models.errors import UserError

LINES = 8  # of its output, the newest
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Job:
    """The latest run of a command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: deque[str] = deque(maxlen=LINES)
        self._lock = Lock()

    def start(self, command: Sequence[str]) -> None:
        """Start the command; UserError while one runs."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                raise UserError("a recut is running; wait for its end")
            self._lines.clear()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
            )
            Thread(target=self._read, args=(self._process,), daemon=True).start()

    def state(self) -> dict[str, Any]:
        """running: bool; code: its exit code, None before the end; lines: the last lines of its output."""
        code = None if self._process is None else self._process.poll()
        return {"running": self._process is not None and code is None, "code": code, "lines": list(self._lines)}

    def stop(self) -> None:
        """End the command if it runs, and wait for its end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        """Keep the lines; a progress bar, which ends in a carriage return, replaces itself."""
        assert process.stdout is not None
        for raw in iter(process.stdout.readline, b""):
            text = ESCAPES.sub(b"", raw).decode(errors="replace").rstrip().rpartition("\r")[2]
            if text:
                self._lines.append(text)
        process.wait()
