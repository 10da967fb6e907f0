"""Proxies: this machine is asked directly, language models and hubs through the proxy that the environment names."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import getproxies, proxy_bypass

import pytest
from prefect.client.orchestration import get_client

from flows.checks.prompts import check_proxies
from flows.server.temporary import why_not_there
from maskmill.environment import prepare_environment
from models.backbone.files import locate
from models.errors import UserError
from models.prompts.llm import open_client
from tasks.api.proxies import is_on_this_machine
from tests.flows.server.servers import configured

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
NOWHERE = "http://127.0.0.1:9"
UNUSABLE = ["socks4://127.0.0.1:9", "http://127.0.0.1:notaport", "ftp://127.0.0.1:9"]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in (*NAMES, *(name.lower() for name in NAMES)):
        monkeypatch.setenv(name, "")  # so that what the tests set is removed after them
        monkeypatch.delenv(name)


@contextmanager
def recording_proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that answers every request with an empty object; its URL, and what it was asked."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.parametrize(
    "before, after",
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "intra.example, .corp"}, "intra.example,.corp,127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a", "no_proxy": "b"}, "b,127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a", "no_proxy": ""}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "localhost,::1,127.0.0.1"}, "localhost,::1,127.0.0.1"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_this_machine_is_exempt_and_the_users_exceptions_stay(monkeypatch, before, after):
    for name, value in {"HTTP_PROXY": NOWHERE, **before}.items():
        monkeypatch.setenv(name, value)
    prepare_environment()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == after
    assert proxy_bypass("127.0.0.1") and proxy_bypass("localhost:4200")
    prepare_environment()
    assert os.environ["NO_PROXY"] == after


def test_a_desktops_spelling_of_a_socks_proxy_is_that_of_libraries(monkeypatch):
    monkeypatch.setenv("all_proxy", "socks://127.0.0.1:1080/")
    prepare_environment()
    assert getproxies()["all"] == "socks5://127.0.0.1:1080/"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", [NOWHERE, "socks5://127.0.0.1:9", *UNUSABLE])
def test_prefects_clients_are_made_and_ask_this_machine(server_url, monkeypatch, name, proxy):
    """Without NO_PROXY: a Dask worker on a running cluster has an environment of its own."""
    monkeypatch.setenv(name, proxy)
    with get_client(sync_client=True) as client:
        assert client.api_healthcheck() is None


@pytest.mark.parametrize(
    "url, is_here",
    [
        ("http://127.0.0.1:4200/api", True),
        ("http://127.1.2.3/api", True),
        ("http://localhost:4200/api", True),
        ("http://[::1]:4200/api", True),
        ("http://localhost.example/api", False),
        ("https://api.prefect.cloud/api", False),
        ("http://10.0.0.1:4200/api", False),
        ("", False),
    ],
)
def test_what_is_this_machine(url, is_here):
    assert is_on_this_machine(url) is is_here


def test_language_models_and_hubs_are_asked_through_the_proxy_and_the_server_is_not(monkeypatch, tmp_path):
    class Meter:
        def open(self) -> None:
            pass

        def free(self) -> None:
            pass

    with recording_proxy() as (url, asked), configured():
        monkeypatch.setenv("HTTP_PROXY", url)
        prepare_environment()
        from models.config.prompts import PromptConfig

        with get_client(sync_client=True) as client:
            assert client.api_healthcheck() is None and why_not_there() == ""
        prompts = PromptConfig(source="llm", model="m", base_url="http://llm.example/v1")
        with open_client(prompts, "key", Meter()) as llm:
            llm.get("/models", cast_to=object)
        assert asked == ["http://llm.example/v1/models"]
        code = "from models.backbone.files import locate\ntry: locate('a/b', ['*'])\nexcept ValueError as e: print(e)"
        env = os.environ | {"HF_ENDPOINT": "http://hub.example", "HF_HOME": str(tmp_path)}
        env["PYTHONPATH"] = os.pathsep.join(sys.path)
        subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=120)
        assert any(path.startswith("http://hub.example/") for path in asked)


@pytest.mark.parametrize("proxy", UNUSABLE)
def test_a_proxy_that_cannot_be_used_is_named_before_prompts_are_bought(monkeypatch, proxy):
    check_proxies()
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(UserError, match="ALL_PROXY is not a proxy that can be used"):
        check_proxies()


@pytest.mark.parametrize("proxy", UNUSABLE)
def test_a_proxy_that_cannot_be_used_is_a_line_for_hubs(monkeypatch, tmp_path, proxy):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(UserError, match="network and its proxy"):
        locate("someone/something", ["*"])
