"""Prefect's HTTP clients ask a server on this machine directly, whatever proxies the environment names.

Programs that honour NO_PROXY do so by themselves (maskmill/environment.py). httpx also fails where a proxy's address is
not valid, or is a SOCKS proxy without its extra package, even if no request would go there.
"""

from collections.abc import Callable
from functools import wraps
from ipaddress import ip_address
from typing import Any

import httpx
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

CLIENTS: tuple[Any, ...] = (PrefectHttpxSyncClient, PrefectHttpxAsyncClient)


def is_on_this_machine(url: str) -> bool:
    """Whether a URL's host is this machine's loopback interface."""
    host = httpx.URL(url).host
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def ask_this_machine_directly() -> None:
    """Let all of Prefect's clients that are made in this process do so."""
    for client in CLIENTS:
        if not hasattr(client.__init__, "__wrapped__"):
            client.__init__ = _direct(client.__init__)


def _direct(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def direct(self: Any, *args: Any, **options: Any) -> None:
        if is_on_this_machine(str(options.get("base_url", ""))):
            options["trust_env"] = False
        init(self, *args, **options)

    return direct
