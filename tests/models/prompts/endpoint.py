"""An endpoint for language models on localhost: what it answers is scripted, what it was asked is kept.

As a script it writes its port to a file and serves fresh prompts until it is killed: `endpoint.py FOLDER`.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

USAGE = {"prompt_tokens": 300, "completion_tokens": 200, "total_tokens": 500}


def completion(content: str | None, usage: dict | None = USAGE, reason: str = "stop") -> dict:
    """A chat completion with that content."""
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def prompts(*texts: str) -> dict:
    return completion(json.dumps({"prompts": list(texts)}))


@dataclass
class Reply:
    """One answer: a body (text, or JSON), a status, headers, and seconds of silence before it."""

    body: dict | list | str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    silence: float = 0.0


class Request(dict):
    """The body of a request; its path with the query, and its headers."""

    path: str
    headers: dict[str, str]


@dataclass
class Endpoint:
    """Answers the n-th request with the n-th reply, the last one ever after."""

    url: str
    asked: list[Request] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


@contextmanager
def serving(*replies: Reply | Callable[[Request], Reply]) -> Iterator[Endpoint]:
    """An endpoint that lives as long as the block; a reply may be made from the request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = Request(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            request.path, request.headers = self.path, {name.lower(): value for name, value in self.headers.items()}
            endpoint.asked.append(request)
            endpoint.at.append(time.monotonic())
            endpoint.keys.append(self.headers.get("Authorization", ""))
            reply = replies[min(len(endpoint.asked), len(replies)) - 1]
            reply = reply(request) if callable(reply) else reply
            time.sleep(reply.silence)
            body = (reply.body if isinstance(reply.body, str) else json.dumps(reply.body)).encode()
            try:
                self.send_response(reply.status)
                for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # who asked did not wait

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fresh(request: dict) -> Reply:
    """As many prompts as are asked for, all different, short enough for the tiny backbones' 32 letters."""
    said = request["messages"][1]["content"]
    number, name = int(said.split()[1]), said.split('"')[1]
    letters = "bcdfghjklmnpqrstvwxz"
    words = ["".join(random.choices(letters, k=5)) for _ in range(2 * number)]
    return Reply(prompts(*(f"a {name} {words[2 * i]} {words[2 * i + 1]}" for i in range(number))))


if __name__ == "__main__":
    with serving(fresh) as here:
        folder = Path(sys.argv[1])
        (folder / "url").write_text(here.url)
        while True:
            (folder / "asked").write_text(str(len(here.asked)))
            time.sleep(0.01)
