"""A hub on loopback: repositories served as Hugging Face's hub serves them, as far as its client asks.

A repository is a list of commits, each a folder; main is the last. What is asked for is recorded. Commits are named by
40 digits, so that a client that knows one asks for no other.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Literal
from urllib.parse import unquote, urlsplit

import pytest


@dataclass
class Repository:
    """access: gated repositories are listed, but their files refused; private ones are as if they were not there."""

    commits: list[Path]
    access: Literal["public", "gated", "private"] = "public"
    branches: dict[str, int] = field(default_factory=dict)  # name -> index of a commit

    def commit_of(self, revision: str) -> int | None:
        """The index of the commit that a branch or a hash names."""
        if revision == "main":
            return len(self.commits) - 1
        hashes = {commit_hash(i): i for i in range(len(self.commits))}
        return self.branches.get(revision, hashes.get(revision))


def commit_hash(index: int) -> str:
    return f"{index + 1:040x}"


@dataclass
class Hub:
    """url: its address. asked: the files that were sent, as `owner/name/file`, in order."""

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)  # files that the hub fails to send, by how their names end

    def weights_sent(self) -> list[str]:
        """Names of the files of weights that were sent."""
        return [file for file in self.asked if file.endswith((".safetensors", ".bin"))]


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            is_api = path.startswith("api/models/")
            owner, name, *rest = path.removeprefix("api/models/").split("/")
            repository = hub.repositories.get(f"{owner}/{name}")
            index = None if repository is None else repository.commit_of(rest[1] if len(rest) > 1 else "main")
            if repository is None or repository.access == "private":
                self._refuse(401, "RepoNotFound")
            elif index is None:
                self._refuse(404, "RevisionNotFound")
            elif is_api:
                self._tell(f"{owner}/{name}", repository.commits[index], commit_hash(index), rest[:1] == ["tree"])
            elif repository.access == "gated":
                self._refuse(403, "GatedRepo")
            else:
                self._send(f"{owner}/{name}", repository.commits[index], "/".join(rest[2:]), commit_hash(index))

        def _tell(self, name: str, folder: Path, commit: str, tree: bool) -> None:
            files = [
                {"type": "file", "path": file, "size": (folder / file).stat().st_size, "oid": _etag(folder / file)}
                for file in files_in(folder)
            ]
            info = {"id": name, "modelId": name, "sha": commit, "private": False, "tags": []}
            answer = files if tree else info | {"siblings": [{"rfilename": entry["path"]} for entry in files]}
            self._answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

        def _send(self, name: str, folder: Path, file: str, commit: str) -> None:
            if not (folder / file).is_file():
                self._refuse(404, "EntryNotFound")
            elif any(file.endswith(end) for end in hub.failing):
                self._refuse(410, "")
            else:
                hub.asked += [f"{name}/{file}"] if self.command == "GET" else []
                headers = {"ETag": f'"{_etag(folder / file)}"', "X-Repo-Commit": commit}
                self._answer(200, (folder / file).read_bytes(), headers)

        def _refuse(self, code: int, error: str) -> None:
            self._answer(code, b"", {"X-Error-Code": error})

        def _answer(self, code: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(code)
            for key, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


def files_in(folder: Path) -> list[str]:
    """The files below a folder, relative to it."""
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub without repositories, until the end."""
    hub = Hub("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path, offline: bool = False) -> None:
    """Have this process ask the hub at that address and keep files in that cache; offline: as HF_HUB_OFFLINE does."""
    from huggingface_hub import constants

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)


def environment(url: str, home: Path) -> dict[str, str]:
    """The environment of another process that asks that hub and keeps files below `home`."""
    own = {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "*"}
    return os.environ | own
