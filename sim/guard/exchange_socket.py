"""The one way to a WebSocket of the exchange: the address as text, and as the library reads it, lead to testnet."""

import os
from typing import Any

from sim.guard import base_url, client_settings
from sim.guard.hosts import is_allowed
from sim.guard.refusal import Layer, refusal, shown


def require(url: object) -> str:
    """`url`, which leads to a testnet or loopback WebSocket, with no proxy on the way.

    Raises: `GuardRefused` (`guard/base_url`, `guard/client_settings`), recorded.
    """
    text = base_url.require(url)
    if not text.startswith(("ws://", "wss://")):
        raise refusal(Layer.BASE_URL, f"expected a WebSocket, found {shown(text)}; set the testnet's URL")
    found = client_settings.proxies(os.environ)
    if found:
        raise refusal(Layer.CLIENT_SETTINGS, f"expected no proxy, found {', '.join(found)} set; unset them")
    return text


def require_as_read(url: Any) -> None:
    """Nothing for a `yarl.URL` that leads where it may: what fools one parser meets the other.

    Raises: `GuardRefused` (`guard/request_host`), recorded.
    """
    host = (url.raw_host or "").lower().rstrip(".")
    if url.scheme not in ("ws", "wss") or not is_allowed(url.scheme, host, url.port):
        raise refusal(
            Layer.REQUEST_HOST,
            f"expected a testnet or loopback host, found {shown(f'{url.scheme}://{host}:{url.port}')}",
        )
