"""The page's server: one person on this machine, who knows the token. Knows nothing of what the answers mean.

It listens on 127.0.0.1 only. Every path begins with a random token, and Host and Origin must be the server's own, so
that another page in the same browser can neither read nor ask (DNS rebinding, cross-site requests). The client names
no file: the page's own three come from a fixed table, and everything else is answered by the bench.
"""

import json
import secrets
import select
import socket
import sys
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any, Protocol

from models.errors import UserError

TEMPLATES = Path(__file__).parent.parent / "templates"
ASSETS = {
    "": ("tuning.html", "text/html; charset=utf-8"),
    "tuning.css": ("tuning.css", "text/css; charset=utf-8"),
    "tuning.js": ("tuning.js", "text/javascript; charset=utf-8"),
}
HOST = "127.0.0.1"
MAX_BODY = 4096  # bytes; a setting takes some 200
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the URL has the token
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}
Values = dict[str, Any]  # a setting as the page's controls give it: field -> value, not checked yet
Wanted = Callable[[], bool]  # whether the client still waits for the answer


class Unwanted(Exception):
    """The client no longer waits, as when a slider has moved on."""


class Bench(Protocol):
    """What the page shows and does. Values are the client's; UserError, in one line, if they are not valid."""

    def state(self) -> dict[str, Any]:
        """The dataset, its samples and the controls."""

    def image(self, sample: int) -> bytes:
        """A JPEG of a sample's image."""

    def mask(self, sample: int, values: Values, wanted: Wanted, coarse: bool = False) -> dict[str, Any]:
        """A sample's mask and maps under the values; Unwanted if nobody waits when its turn comes.

        coarse: the attention cells' mask, which takes a few milliseconds.
        """

    def score(self, values: Values, wanted: Wanted) -> dict[str, Any]:
        """The score of the values over all samples; Unwanted as above."""

    def write(self, values: Values) -> dict[str, Any]:
        """Write the config with the values, and say where."""

    def recut(self, values: Values) -> dict[str, Any]:
        """Start solving all masks under the values, and say how it stands."""

    def progress(self) -> dict[str, Any]:
        """How the recut stands."""


class Server(ThreadingTCPServer):
    """The server of one page; `serve_forever` runs it. UserError if the port cannot be had; port 0 is any free one."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, bench: Bench, port: int = 0) -> None:
        self.bench, self.token = bench, secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"--port {port}: cannot be used ({error}); leave it out for any free port") from None
        self.port = int(self.server_address[1])
        self.names = {f"{name}:{self.port}" for name in (HOST, "localhost")}

    @property
    def url(self) -> str:
        """The page's address, with the token."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error; anything else is a bug and keeps its traceback."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server
    server_version, sys_version = "maskmill", ""
    timeout = 30  # seconds without a byte

    def do_GET(self) -> None:
        """Answer the page's files, its state, images and the progress of the recut."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer what depends on a setting."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """The terminal shows only what the command prints."""

    def _answer(self, answer: Callable[[str], None]) -> None:
        """Answer an allowed request; one line of JSON for an error."""
        path = self._path()
        if path is None:
            return self._send(403, b"forbidden: open the address that maskmill tune --page printed\n", "text/plain")
        try:
            return answer(path)
        except Unwanted:
            return self._json({"error": "no longer wanted"}, 409)
        except (UserError, OSError) as error:
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            return self._json({"error": " ".join(str(error).split())}, 400)
        except Exception as error:
            traceback.print_exc()
            return self._json({"error": f"this is a bug in maskmill: {type(error).__name__}: {error}"}, 500)

    def _path(self) -> str | None:
        """The path below the token; None if the token, the Host or the Origin is not this server's."""
        hosts, origins = self.headers.get_all("Host", []), self.headers.get_all("Origin", [])
        if len(hosts) != 1 or hosts[0] not in self.server.names:
            return None
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            return None
        root, slash, path = self.path.removeprefix("/").partition("/")
        if not slash or not secrets.compare_digest(root.encode("utf-8", "replace"), self.server.token.encode()):
            return None
        return path

    def _get(self, path: str) -> None:
        bench = self.server.bench
        name, _, number = path.partition("/")
        if path in ASSETS:
            file, kind = ASSETS[path]
            self._send(200, (TEMPLATES / file).read_bytes(), kind)
        elif path == "state":
            self._json(bench.state())
        elif path == "recut":
            self._json(bench.progress())
        elif name == "image" and number.isascii() and number.isdecimal() and len(number) < 10:
            self._send(200, bench.image(int(number)), "image/jpeg")
        else:
            self._json({"error": "nothing is here"}, 404)

    def _post(self, path: str) -> None:
        bench, name, number = self.server.bench, *path.partition("/")[::2]
        if name in ("mask", "coarse") and number.isascii() and number.isdecimal() and len(number) < 10:
            self._json(bench.mask(int(number), self._values(), self._is_waiting, name == "coarse"))
        elif path == "score":
            self._json(bench.score(self._values(), self._is_waiting))
        elif path == "write":
            self._json(bench.write(self._values()))
        elif path == "recut":
            self._json(bench.recut(self._values()))
        else:
            self._json({"error": "nothing is here"}, 404)

    def _values(self) -> Values:
        """The body, a JSON object of at most MAX_BODY bytes."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or not (length.isascii() and length.isdecimal()):
            raise UserError("expected a body of JSON with its length")
        if len(length) > 9 or int(length) > MAX_BODY:
            raise UserError(f"expected a body of at most {MAX_BODY} bytes, got {length}")
        try:
            values = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise UserError(f"expected a body of JSON: {error}") from None
        if not isinstance(values, dict):
            raise UserError(f"expected a JSON object of fields, got {type(values).__name__}")
        return values

    def _is_waiting(self) -> bool:
        """Whether the client's end is still open; a request that the browser cancels closes it."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return not readable or self.connection.recv(1, socket.MSG_PEEK) != b""
        except OSError:
            return False

    def _json(self, content: dict[str, Any], status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
