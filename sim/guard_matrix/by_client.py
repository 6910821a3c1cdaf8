"""Attempts through the bot's own client: base URLs, redirects, proxies and names (matrices B, C, D, E, H)."""

import os
import socket
from functools import partial

from sim.fake_bot.exchange_sockets import SocketMaker
from sim.guard.exchange_client import open_client
from sim.guard_matrix.attempt import OF_A_CLIENT, Attempt, Stage

PING = "/api/v3/ping"
REDIRECTS = (301, 302, 303, 307, 308)
PROXY = "http://198.51.100.7:3128"

URLS = {
    "production": "https://api.binance.com",
    "production, closing dot": "https://api.binance.com.",
    "production, capitals": "https://API.Binance.COM",
    "production, Google cloud": "https://api-gcp.binance.com",
    **{f"production, mirror {number}": f"https://api{number}.binance.com" for number in range(1, 5)},
    **{
        f"production, {name}": f"https://{name}.binance.com" for name in ("www", "sapi", "fapi", "dapi", "papi", "eapi")
    },
    "market data of production": "https://data-api.binance.vision",
    "the demo environment": "https://demo-api.binance.com",
    "another company, us": "https://api.binance.us",
    "another company, tr": "https://api.binance.tr",
    "testnet of futures": "https://testnet.binancefuture.com",
    "head of somebody's domain": "https://testnet.binance.vision.evil.com",
    "tail of somebody's domain": "https://eviltestnet.binance.vision",
    "testnet as the user": "https://testnet.binance.vision@api.binance.com",
    "testnet in the path": "https://api.binance.com/testnet.binance.vision",
    "testnet in the query": "https://api.binance.com?testnet.binance.vision",
    "testnet in the fragment": "https://api.binance.com#testnet.binance.vision",
    "unencrypted": "http://testnet.binance.vision",
    "odd port": "https://testnet.binance.vision:8443",
    "homoglyph": "https://testnet.bin\u0430nce.vision",
    "metadata address": "http://169.254.169.254",
    "address of IPv6": "https://[2001:db8::7]",
    "address as one number": "http://3405803783",
    "stream of production": "https://stream.binance.com:9443",
    "market stream of production": "https://data-stream.binance.vision",
    "WebSocket API of production": "https://ws-api.binance.com:9443",
    "FIX of production": "https://fix-oe.binance.com:9000",
}


def base_url(url: str, _: Stage) -> None:
    """The first request of a client that was told `url`."""
    with open_client(url) as client:
        client.get(PING)


def absolute_url(stage: Stage) -> None:
    """A request whose own URL replaces the base."""
    with open_client(f"http://127.0.0.1:{stage.redirecting}") as client:
        client.get("https://api.binance.com/api/v3/ping")


def redirect(status: int, method: str, stage: Stage) -> None:
    """A request with a key to a loopback server that answers with a redirect to mainnet."""
    with open_client(f"http://127.0.0.1:{stage.redirecting}") as client:
        client.request(method, f"/{status}", headers={"X-MBX-APIKEY": "k" * 64})


def redirected_socket(path: str, stage: Stage) -> None:
    """A WebSocket to a loopback server that answers the handshake with a redirect to mainnet."""
    with SocketMaker(f"ws://127.0.0.1:{stage.redirecting}", timeout_s=8) as connect:
        connect(path).close()


def proxy(variable: str, stage: Stage) -> None:
    """A request to loopback in an environment that names a proxy."""
    os.environ[variable] = PROXY
    with open_client(f"http://127.0.0.1:{stage.redirecting}") as client:
        client.get(PING)


def foreign_resolver(_: Stage) -> None:
    """A request to the testnet, whose name leads to an address that is not loopback."""
    with open_client("https://testnet.binance.vision") as client:
        client.get(PING)


def localhost_elsewhere(_: Stage) -> None:
    """A client on `localhost`, which a hosts file leads elsewhere."""
    _lead_elsewhere()
    with open_client("http://localhost:8080") as client:
        client.get(PING)


def socket_to_localhost_elsewhere(_: Stage) -> None:
    """A WebSocket to `localhost`, which a hosts file leads elsewhere."""
    _lead_elsewhere()
    with SocketMaker("ws://localhost:8080", timeout_s=8) as connect:
        connect("/ws").close()


def _lead_elsewhere() -> None:
    """Effects: every name leads to an address in the world, as with a hosts file: nobody is asked."""

    def elsewhere(_: str | bytes, port: int | None, *rest: object, **named: object) -> object:
        del rest, named
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("203.0.113.9", port or 0))]

    setattr(socket, "getaddrinfo", elsewhere)  # noqa: B010 - the hosts file


ATTEMPTS = (
    *(Attempt(row="B", name=name, layers=OF_A_CLIENT, make=partial(base_url, url)) for name, url in URLS.items()),
    Attempt(row="B", name="absolute URL of one request", layers=OF_A_CLIENT, make=absolute_url),
    *(
        Attempt(row="C", name=f"{status} of a {method}", layers=OF_A_CLIENT, make=partial(redirect, status, method))
        for status in REDIRECTS
        for method in ("GET", "POST")
    ),
    *(
        Attempt(
            row="C", name=f"{status} of a handshake", layers=OF_A_CLIENT, make=partial(redirected_socket, f"/{status}")
        )
        for status in REDIRECTS
    ),
    Attempt(
        row="C", name="307 of a handshake, by URI", layers=OF_A_CLIENT, make=partial(redirected_socket, "/307/uri")
    ),
    *(
        Attempt(row="D", name=variable, layers=OF_A_CLIENT, make=partial(proxy, variable))
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY")
    ),
    Attempt(row="E", name="testnet's name leads elsewhere", layers=OF_A_CLIENT, make=foreign_resolver),
    Attempt(row="E", name="localhost leads elsewhere", layers=OF_A_CLIENT, make=localhost_elsewhere),
    Attempt(
        row="E",
        name="localhost leads a WebSocket elsewhere",
        layers=OF_A_CLIENT,
        make=socket_to_localhost_elsewhere,
    ),
)
