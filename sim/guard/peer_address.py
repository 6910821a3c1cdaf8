"""Layer `peer_address`: the address that the name of loopback led to, before anything is sent to it.

`localhost` is a name like another: a hosts file or a resolver may lead it anywhere, and no certificate is asked of a
server behind plain HTTP. A testnet name proves itself by its certificate (`client_settings`), wherever it leads.

Source: contract §9 (DNS names that lead elsewhere); exchange facts §4 matrix E.
"""

import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from sim.guard.hosts import LOOPBACK, LOOPBACK_ADDRESSES
from sim.guard.refusal import Layer, refusal, shown

_CONNECTS: Final = "connection.connect_tcp.started"
_CONNECTED: Final = "connection.connect_tcp.complete"

Trace = Callable[[str, Mapping[str, Any]], None]
"""What httpx tells of each step of a request."""


def problem(host: str, address: str) -> str | None:
    """Why `address` may not be what `host` led to, or None; only the names of loopback promise where they lead."""
    if host.lower().rstrip(".") not in LOOPBACK or address in LOOPBACK_ADDRESSES:
        return None
    return f"expected {shown(host)} to lead to loopback, found {shown(address)}"


def require(host: str, address: str) -> None:
    """Nothing where `host` may lead to `address`. Raises: `GuardRefused` (`guard/peer_address`), recorded."""
    why = problem(host, address)
    if why is not None:
        raise refusal(Layer.PEER_ADDRESS, f"{why}; see to the hosts file")


def judge_connections(request: httpx.Request) -> None:
    """A request hook of an httpx client. Effects: a connection of `request` is judged before and after it is made.

    Raises, while it is made: `GuardRefused` (`guard/peer_address`), recorded; nothing was sent then.
    """
    earlier: Trace | None = request.extensions.get("trace")
    host = request.url.host

    def judge(event: str, told: Mapping[str, Any]) -> None:
        if event == _CONNECTS:
            _look_up(host)
        elif event == _CONNECTED:
            # The library looks the name up once more, and may be told otherwise than we were.
            stream = told["return_value"]
            try:
                require(host, str(stream.get_extra_info("server_addr")[0]))
            except BaseException:
                stream.close()
                raise
        if earlier is not None:
            earlier(event, told)

    request.extensions["trace"] = judge


def _look_up(host: str) -> None:
    """Judges what a name of loopback leads to; what leads nowhere is the library's to tell."""
    if host not in LOOPBACK or host in LOOPBACK_ADDRESSES:
        return
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    for each in found:
        require(host, str(each[4][0]))


def resolver() -> Any:
    """A resolver of aiohttp that judges what it finds; aiohttp connects to that and looks nothing up again."""
    from aiohttp import ThreadedResolver  # slow to import, see `exchange_socket`
    from aiohttp.abc import ResolveResult

    class JudgingResolver(ThreadedResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            found = await super().resolve(host, port, family)
            for each in found:
                require(host, each["host"])
            return found

    return JudgingResolver()
