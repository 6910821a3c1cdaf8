"""The one way to a WebSocket of the exchange: with every layer that the client of its REST API has."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from sim.guard import base_url, client_settings, peer_address
from sim.guard.hosts import is_allowed
from sim.guard.refusal import Layer, refusal, shown

Send = Callable[[Any], Awaitable[Any]]
"""Sends a request of aiohttp, to its answer."""


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


async def open_session(authorities: Path | None, *, wires: MutableMapping[Any, Any]) -> Any:
    """An `aiohttp.ClientSession` of the loop that runs. `authorities` is a PEM file to trust; None: the public ones.

    aiohttp follows a redirect of a handshake, and would take authorities from the environment: here it does neither.
    Raises: `GuardRefused` (`guard/client_settings`), recorded, where a proxy is set; each connection for a server that
    leads elsewhere, (`guard/request_host`) for a foreign host, (`guard/peer_address`) for a foreign address.
    Effects: `wires` holds the transport of each connection, with its socket.
    """
    import aiohttp  # a third of a second, which a bot without an exchange need not wait

    settings = client_settings.settings(authorities)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=settings["verify"], resolver=peer_address.resolver()),
        trust_env=settings["trust_env"],
        middlewares=(_judging(wires, follow_redirects=settings["follow_redirects"]),),
    )


def _judging(wires: MutableMapping[Any, Any], *, follow_redirects: bool) -> Callable[[Any, Send], Awaitable[Any]]:
    """Judges each request as it is about to be sent, and what it was answered."""

    async def judge(request: Any, send: Send) -> Any:
        require_as_read(request.url)
        answer = await send(request)
        if answer.connection is not None:
            transport = answer.connection.transport
            wires[transport] = transport.get_extra_info("socket")
        why = client_settings.redirect_problem(answer.status, answer.headers)
        if why is not None and not follow_redirects:
            answer.close()
            raise refusal(Layer.CLIENT_SETTINGS, why)
        return answer

    return judge
