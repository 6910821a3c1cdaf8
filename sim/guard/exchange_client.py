"""The one way to a client of the exchange: with every layer that a client can have."""

from pathlib import Path

import httpx

from sim.guard import base_url, client_settings, library_logs, peer_address, request_host

TIMEOUT_S = 10.0


def open_client(url: object, *, authorities: Path | None = None, timeout_s: float = TIMEOUT_S) -> httpx.Client:
    """A client of the exchange at `url`; no wait is longer than `timeout_s`.

    `authorities` is a PEM file that it trusts instead of the public ones.
    Raises: `GuardRefused`, recorded; see the layers.
    """
    allowed = base_url.require(url)
    library_logs.put_in_force()
    settings = client_settings.settings(authorities)
    # A client that is given a transport hands it none of its settings.
    transport = request_host.GuardedTransport(verify=settings["verify"], trust_env=settings["trust_env"])
    client = httpx.Client(base_url=allowed, transport=transport, timeout=timeout_s, **settings)
    client.event_hooks["request"].append(peer_address.judge_connections)
    return client
