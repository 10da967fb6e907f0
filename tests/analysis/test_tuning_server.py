"""The tuning page's server on loopback: who is answered, what is refused, and that an abandoned request is seen."""

import http.client
import json
import socket
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest

from analysis.tuning_page.server import ASSETS, MAX_BODY, Server, Unwanted
from models.errors import UserError

JSON = {"Content-Type": "application/json"}


class EchoBench:
    """Answers with what it was asked."""

    def __init__(self) -> None:
        self.may_start, self.was_unwanted = Event(), Event()

    def state(self) -> dict[str, Any]:
        return {"state": True}

    def image(self, sample: int) -> bytes:
        return b"jpeg %d" % sample

    def mask(self, sample: int, values: dict[str, Any], wanted: Any, coarse: bool = False) -> dict[str, Any]:
        if values.get("wait"):
            self.may_start.wait(20)
            if not wanted():
                self.was_unwanted.set()
                raise Unwanted
        return {"sample": sample, "values": values, "coarse": coarse}

    def score(self, values: dict[str, Any], wanted: Any) -> dict[str, Any]:
        raise UserError("lambda: expected\na number")

    def write(self, values: dict[str, Any]) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    def recut(self, values: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("a bug")

    def progress(self) -> dict[str, Any]:
        return {"running": False}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(EchoBench()) as found:
        Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def asked(
    server: Server, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    """Status, body and headers of the answer to a request for `path`, as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


def test_whoever_knows_the_token_gets_the_page_and_its_answers(server: Server) -> None:
    for name, (_, kind) in ASSETS.items():
        status, body, headers = asked(server, f"/{server.token}/{name}")
        assert status == 200 and body and headers["Content-Type"] == kind
        assert (
            "default-src 'none'" in headers["Content-Security-Policy"] and headers["Referrer-Policy"] == "no-referrer"
        )
    assert asked(server, f"/{server.token}/state")[1] == b'{"state": true}'
    assert asked(server, f"/{server.token}/image/7")[1] == b"jpeg 7"
    for name in ("mask", "coarse"):
        answer = asked(server, f"/{server.token}/{name}/3", "POST", b'{"lambda": 2}', JSON)[1]
        assert json.loads(answer) == {"sample": 3, "values": {"lambda": 2}, "coarse": name == "coarse"}


def test_it_listens_on_loopback_only(server: Server) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1" and server.url.startswith("http://127.0.0.1:")
    assert len(server.token) >= 32
    with Server(EchoBench()) as other:
        assert other.token != server.token


@pytest.mark.parametrize("path", ["/", "", "/state", "/{}state", "/{}", "/x{}/state", "/{}x/", "/é/state"])
def test_without_the_token_nothing_is_answered(server: Server, path: str) -> None:
    path = path.format(server.token).encode("utf-8").decode("latin-1")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(f"GET {path or '*'} HTTP/1.0\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode("latin-1"))
        assert client.makefile("rb").read().split()[1] == b"403"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://localhost:{port}"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_host_or_origin_is_refused(server: Server, headers: dict[str, str], method: str) -> None:
    sent = {name: value.format(port=server.port) for name, value in headers.items()}
    status, body, _ = asked(server, f"/{server.token}/state", method, b"{}" if method == "POST" else None, JSON | sent)
    assert status == 403 and b"true" not in body


def test_its_own_origin_and_localhost_are_answered(server: Server) -> None:
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{server.port}"
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert asked(server, f"/{server.token}/mask/1", "POST", b"{}", JSON | headers)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "tuning.html",
        "report.css",
        "image/-1",
        "image/1/../2",
        "image/²",
        "image/",
        "image/" + "9" * 50,
    ],
)
def test_nothing_else_is_served(server: Server, path: str) -> None:
    for method in ("GET", "POST"):
        status, body, _ = asked(server, f"/{server.token}/{path}".replace("²", "%C2%B2"), method, b"{}", JSON)
        assert status == 404 and json.loads(body) == {"error": "nothing is here"}


@pytest.mark.parametrize(
    "body, headers, match",
    [
        (b"x" * (MAX_BODY + 1), JSON, "at most"),
        (b"{}", JSON | {"Content-Length": "99999999999"}, "at most"),
        (b"{}", JSON | {"Content-Length": "-1"}, "length"),
        (b"{}", {"Content-Type": "text/plain"}, "JSON"),
        (b"{", JSON, "JSON"),
        (b"\xff", JSON, "JSON"),
        (b"[1]", JSON, "object"),
        (b"[" * 4000, JSON, "JSON"),
    ],
    ids=range(8),
)
def test_a_bad_body_gets_one_line(server: Server, body: bytes, headers: dict[str, str], match: str) -> None:
    status, answer, _ = asked(server, f"/{server.token}/mask/1", "POST", body, headers)
    error = json.loads(answer)["error"]
    assert status == 400 and match in error and "\n" not in error


def test_errors_of_the_bench_are_one_line(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    post = {name: asked(server, f"/{server.token}/{name}", "POST", b"{}", JSON) for name in ("score", "write", "recut")}
    assert [post[name][0] for name in post] == [400, 400, 500]
    assert json.loads(post["score"][1])["error"] == "lambda: expected a number"
    assert "No space left" in json.loads(post["write"][1])["error"]
    assert "bug" in json.loads(post["recut"][1])["error"] and "KeyError" in capfd.readouterr().err


def test_a_cancelled_request_is_not_solved(server: Server) -> None:
    body = b'{"wait": true}'
    head = (
        f"POST /{server.token}/mask/1 HTTP/1.0\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    server.bench.may_start.set()
    assert server.bench.was_unwanted.wait(20)
    server.bench.may_start.set()
    assert asked(server, f"/{server.token}/mask/1", "POST", body, JSON)[0] == 200


def test_a_port_in_use_is_refused_in_a_line(server: Server) -> None:
    for port in (server.port, 70_000):
        with pytest.raises(UserError, match=f"^--port {port}: cannot be used .*leave it out") as error:
            Server(EchoBench(), port)
        assert "\n" not in str(error.value)
