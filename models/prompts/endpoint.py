"""The client of an endpoint that writes prompts: its address, its key, and a meter that counts every attempt.

Attempts are repeated by the `openai` package: 408, 409, 429, 5xx, time-outs and lost connections, after a wait that
doubles from 0.5 s to 8 s, less up to a quarter of it at random, or after the server's Retry-After of up to two minutes.
Knows nothing of what is asked or answered. Importing it imports no torch.
"""

import os
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from openai import DefaultHttpxClient, OpenAI

from models.config.prompts import PromptConfig, endpoint_address
from models.errors import UserError
from models.prompts.request import Form

OPENAI = "https://api.openai.com/v1"
SPENT = "insufficient_quota"  # OpenAI's code of a 429 that no waiting mends


class Meter(Protocol):
    """Counts every attempt before it is sent, and those that cost nothing."""

    def open(self) -> None:
        """An attempt is about to be sent; raising an exception prevents it."""

    def free(self) -> None:
        """The current attempt cost nothing: it did not arrive, or was refused."""


class Client(OpenAI):
    """A client of one endpoint; `form` is that of the requests which the endpoint accepts, as far as it is known."""

    form: Form


def open_client(config: PromptConfig, key: str, meter: Meter) -> Client:
    """A client that reports every attempt, also retries, to `meter`.

    Reads OPENAI_BASE_URL if base_url is not set; UserError if that is not an address. An environment variable of
    OpenAI's that is empty counts as unset.
    """
    given = config.base_url or os.environ.get("OPENAI_BASE_URL", "").strip()
    address = urlsplit(endpoint_address(given, "OPENAI_BASE_URL") if given else OPENAI)
    query = dict(parse_qsl(address.query))
    try:
        http_client = _MeteredClient(meter, timeout=config.timeout)
    except (ValueError, ImportError) as error:  # ImportError for SOCKS without its package
        raise UserError(
            f"prompts: a proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used ({error}); change it, or set "
            "NO_PROXY to the endpoint's host"
        ) from None
    client = Client(
        api_key=key,
        base_url=address._replace(query="", fragment="").geturl(),
        default_query=query,
        default_headers={"api-key": key} if "api-version" in query else None,  # Azure's
        timeout=config.timeout,
        max_retries=config.attempts - 1,
        http_client=http_client,
    )
    client.organization = (client.organization or "").strip() or None
    client.project = (client.project or "").strip() or None
    client.form = Form.of(config)
    return client


def usable_key(text: str, where: str) -> str | None:
    """An endpoint's key from text that was read from `where`; None if empty, UserError if it cannot be a key."""
    key = text.strip().strip("\"'")
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"prompts.secret: {where} contains line breaks or characters that no key has; copy the key again"
        )
    return key or None


def no_key(config: PromptConfig) -> str:
    """The error message if a model must be asked and there is no key."""
    return (
        f"prompts.source: {config.model} needs a key to write prompts, and there is no key; set OPENAI_API_KEY (to any "
        "word if the endpoint needs no key), or prompts.secret, or prompts.source=grammar for the built-in grammar"
    )


class _MeteredClient(DefaultHttpxClient):
    """An HTTP client that reports every attempt to a meter."""

    def __init__(self, meter: Meter, **options: Any):
        super().__init__(**options)
        self._meter = meter

    def send(self, request: Any, **options: Any) -> Any:
        self._meter.open()
        try:
            response = super().send(request, **options)
        except Exception as error:
            # By name, because openai may use httpx or its successor. Other time-outs may have been paid for.
            if type(error).__name__ in ("ConnectError", "ConnectTimeout"):
                self._meter.free()
            raise
        if response.is_error:
            self._meter.free()
            if response.status_code == 429 and SPENT in response.text:
                response.headers["x-should-retry"] = "false"
        return response
