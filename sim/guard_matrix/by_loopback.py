"""Attempts that stay on this machine: a server that is not who it says, and names that lead here (matrices E and F)."""

import os
import socket
import sys
import urllib.request
from functools import partial

from sim.guard.exchange_client import open_client
from sim.guard.refusal import Layer
from sim.guard_matrix.attempt import IMPOSED, OF_A_CLIENT, Attempt, Stage

PING = "/api/v3/ping"
MAINNET = "api.binance.com"
IMPOSTORS = (
    "wrong authority",
    "expired",
    "not yet valid",
    "another host",
    "common name alone",
    "signed by itself",
)
KEY = {"X-MBX-APIKEY": "k" * 64}


def impostor(certificate: str, stage: Stage) -> None:
    """A request with a key to a server behind TLS whose certificate is wrong."""
    url = f"https://127.0.0.1:{stage.impostors[certificate]}"
    with open_client(url, authorities=stage.authority) as client:
        client.get(PING, headers=KEY)


def authority_of_the_environment(stage: Stage) -> None:
    """A server whose authority only the environment names."""
    os.environ["SSL_CERT_FILE"] = str(stage.authority)
    with open_client(f"https://127.0.0.1:{stage.impostors['right']}") as client:
        client.get(PING, headers=KEY)


def mainnet_leads_here(stage: Stage) -> None:
    """A client that was told mainnet, whose name a hosts file leads to the double."""
    _lead_here(MAINNET)
    with open_client(f"http://{MAINNET}:{stage.double}") as client:
        client.get(PING).raise_for_status()


def mainnet_leads_urllib_here(stage: Stage) -> None:
    """The standard library with the same hosts file."""
    _lead_here(MAINNET)
    urllib.request.urlopen(f"http://{MAINNET}:{stage.double}{PING}", timeout=8).close()


def foreign_header(stage: Stage) -> None:
    """A client on loopback that asks for mainnet in its Host header."""
    with open_client(f"http://127.0.0.1:{stage.double}") as client:
        client.get(PING, headers={"Host": MAINNET}).raise_for_status()


def foreign_target(stage: Stage) -> None:
    """A client on loopback that asks for mainnet as one asks a proxy."""
    with open_client(f"http://127.0.0.1:{stage.double}") as client:
        target = f"http://{MAINNET}{PING}".encode()
        client.get(PING, extensions={"target": target}).raise_for_status()


def _lead_here(name: str) -> None:
    """Effects: `name` leads to loopback, as with a line in the hosts file: it is looked up all the same."""
    resolve = socket.getaddrinfo

    def here(host: str | bytes | None, port: object, *rest: object, **named: object) -> object:
        if host != name:
            return resolve(host, port, *rest, **named)  # type: ignore[arg-type]
        sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)  # what the C function tells before it looks
        return resolve("127.0.0.1", port, *rest, **named)  # type: ignore[arg-type]

    setattr(socket, "getaddrinfo", here)  # noqa: B010 - the hosts file


_DOUBLE = (Layer.BASE_URL, Layer.REQUEST_HOST, Layer.EXCHANGE_DOUBLE, Layer.PYTHON_SOCKETS)

ATTEMPTS = (
    Attempt(row="E", name="mainnet's name leads to the double", layers=_DOUBLE, make=mainnet_leads_here, stays=True),
    Attempt(
        row="E",
        name="urllib, mainnet's name leads to the double",
        layers=(Layer.EXCHANGE_DOUBLE, *IMPOSED),
        make=mainnet_leads_urllib_here,
        stays=True,
    ),
    Attempt(row="E", name="double asked for mainnet by header", layers=_DOUBLE, make=foreign_header, stays=True),
    Attempt(row="E", name="double asked for mainnet by target", layers=_DOUBLE, make=foreign_target, stays=True),
    *(
        Attempt(row="F", name=f"certificate: {name}", layers=OF_A_CLIENT, make=partial(impostor, name), stays=True)
        for name in IMPOSTORS
    ),
    Attempt(
        row="F",
        name="authority named by the environment",
        layers=OF_A_CLIENT,
        make=authority_of_the_environment,
        stays=True,
    ),
)
