"""Attempts by other libraries, in other languages, and below every library (matrices G, H, K, L)."""

import asyncio
import ctypes
import os
import socket
import struct
import subprocess
import sys
import urllib.request
from functools import partial

import aiohttp
import httpx

from sim.guard_matrix.attempt import IMPOSED, Attempt, Stage

MAINNET = "https://api.binance.com/api/v3/ping"
STREAM = "wss://stream.binance.com:9443/ws"
ADDRESS = ("203.0.113.7", 443)
TIMEOUT_S = 8
_QUESTION = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\3api\7binance\3com\0\0\1\0\1"


def by_urllib(_: Stage) -> None:
    """The standard library."""
    urllib.request.urlopen(MAINNET, timeout=TIMEOUT_S).close()


def by_httpx(_: Stage) -> None:
    """A client that nobody guarded."""
    httpx.get(MAINNET, timeout=TIMEOUT_S)


def by_aiohttp(url: str, _: Stage) -> None:
    """aiohttp on asyncio's own loop, HTTP or WebSocket."""
    asyncio.run(_aiohttp(url))


def by_uvloop(_: Stage) -> None:
    """asyncio in C, which no audit hook sees."""
    import uvloop

    uvloop.run(_aiohttp(MAINNET))


def by_pycurl(_: Stage) -> None:
    """libcurl in this process."""
    import pycurl

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, MAINNET)
    curl.setopt(pycurl.TIMEOUT, TIMEOUT_S)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.perform()


def by_rust(_: Stage) -> None:
    """A client written in Rust."""
    import primp

    primp.Client(timeout=TIMEOUT_S).get(MAINNET)


def by_libpq(_: Stage) -> None:
    """A database driver that is told mainnet's name."""
    import psycopg

    psycopg.connect(host="api.binance.com", port=443, dbname="x", user="x", connect_timeout=TIMEOUT_S).close()


def by_ctypes(_: Stage) -> None:
    """The C library's `connect`, called by hand."""
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    packed = struct.pack("=H", socket.AF_INET) + struct.pack("!H", ADDRESS[1]) + socket.inet_aton(ADDRESS[0]) + bytes(8)
    if library.connect(descriptor, packed, len(packed)):
        raise OSError(ctypes.get_errno(), "connect")
    library.recv(descriptor, ctypes.create_string_buffer(1), 1, 0)


def by_raw_address(_: Stage) -> None:
    """A socket and no name."""
    with socket.create_connection(ADDRESS, timeout=TIMEOUT_S) as connection:
        connection.recv(1)


def by_connect_ex(_: Stage) -> None:
    """The connect that returns its error."""
    with socket.socket() as connection:
        connection.settimeout(TIMEOUT_S)
        failed = connection.connect_ex(ADDRESS)
        if failed:
            raise OSError(failed, os.strerror(failed))
        connection.recv(1)


def by_datagram(_: Stage) -> None:
    """A question to a resolver of one's own, by UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(1)
        datagrams.sendto(_QUESTION, ("203.0.113.53", 53))
        datagrams.recv(512)


def by_lookup(_: Stage) -> None:
    """A lookup alone tells a resolver what is meant."""
    socket.getaddrinfo("api.binance.com", 443)


def by_child(command: tuple[str, ...], _: Stage) -> None:
    """A child that has nothing of our environment. Raises: `CalledProcessError` where it failed."""
    subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, check=True, capture_output=True, timeout=TIMEOUT_S * 2)


async def _aiohttp(url: str) -> None:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        if url.startswith("wss"):
            await session.ws_connect(url)
        else:
            await session.get(url)


_PYTHON = f"import urllib.request; urllib.request.urlopen({MAINNET!r}, timeout={TIMEOUT_S})"

ATTEMPTS = tuple(
    Attempt(row=row, name=name, layers=IMPOSED, make=make)
    for row, name, make in (
        ("G", "urllib", by_urllib),
        ("G", "httpx, unguarded", by_httpx),
        ("G", "aiohttp", partial(by_aiohttp, MAINNET)),
        ("H", "aiohttp, production's stream", partial(by_aiohttp, STREAM)),
        ("K", "child Python, environment cleared", partial(by_child, (sys.executable, "-I", "-S", "-c", _PYTHON))),
        ("L", "child curl", partial(by_child, ("curl", "-sS", "--max-time", str(TIMEOUT_S), MAINNET))),
        ("L", "uvloop", by_uvloop),
        ("L", "libcurl", by_pycurl),
        ("L", "Rust client", by_rust),
        ("L", "libpq", by_libpq),
        ("L", "ctypes", by_ctypes),
        ("L", "raw address", by_raw_address),
        ("L", "connect_ex", by_connect_ex),
        ("L", "UDP to a resolver", by_datagram),
        ("L", "lookup alone", by_lookup),
    )
)
