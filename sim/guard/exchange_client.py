"""The one way to a client of the exchange: with every layer that a client can have."""

import ssl
from functools import cache

import httpx

from sim.guard import base_url, client_settings, request_host

TIMEOUT_S = 10.0


@cache
def tls_context() -> ssl.SSLContext:
    """What all clients of this process check certificates by. Reading the authorities takes longer than an order."""
    return httpx.create_ssl_context(trust_env=False)


def open_client(url: object, *, timeout_s: float = TIMEOUT_S) -> httpx.Client:
    """A client of the exchange at `url`; no wait is longer than `timeout_s`.

    Raises: `GuardRefused`, recorded; see the layers.
    """
    return httpx.Client(
        base_url=base_url.require(url),
        transport=request_host.GuardedTransport(verify=tls_context()),
        timeout=timeout_s,
        **client_settings.settings(),
    )
