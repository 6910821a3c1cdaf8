"""Where the name of loopback leads: a hosts file that leads it elsewhere is not followed, by neither client.

127.0.0.7 stands for the world: it is an address of this machine, and none of those that `localhost` may lead to.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sim.fake_bot.exchange_sockets import SocketLost, SocketMaker
from sim.guard import peer_address
from sim.guard.exchange_client import open_client
from sim.guard.refusal import GuardRefused, Layer
from tests.sim.guard.conftest import layers_in

WORLD = "127.0.0.7"
TIMEOUT_S = 20.0
LAST = b"this is the last one"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Ask = Callable[[str, int], None]


def by_httpx(host: str, port: int) -> None:
    with open_client(f"http://{host}:{port}", timeout_s=TIMEOUT_S) as client:
        client.get("/api/v3/account", headers={"X-MBX-APIKEY": "k" * 64})


def by_aiohttp(host: str, port: int) -> None:
    # The server answers, and speaks no WebSocket.
    with SocketMaker(f"ws://{host}:{port}", timeout_s=TIMEOUT_S) as connect, suppress(SocketLost):
        connect("/ws-api/v3")


CLIENTS = pytest.mark.parametrize("ask", [by_httpx, by_aiohttp])


@contextmanager
def listening_at(address: str) -> Iterator[tuple[int, list[bytes]]]:
    """The port of a server at `address`, and what it was sent on each connection, complete once the block has ended."""
    sent: list[bytes] = []
    with socket.create_server((address, 0)) as server:

        def serve() -> None:
            while (told := answer_one(server)) != LAST:
                sent.append(told)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], sent
        finally:
            # It comes after all that are still in the queue.
            with socket.create_connection(server.getsockname()) as last:
                last.sendall(LAST)
            thread.join()


def answer_one(server: socket.socket) -> bytes:
    """What the next connection sends; nothing where it goes away first."""
    connection = server.accept()[0]
    told = b""
    with connection, suppress(OSError):
        told = connection.recv(65_536)
        connection.sendall(ANSWER)
    return told


def lead_localhost_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Effects: `localhost` leads to one address after the other, the last for ever, as a resolver may answer."""
    left = list(addresses)
    resolve = socket.getaddrinfo

    def answer(host: str | bytes | None, *rest: object, **named: object) -> object:
        if host == "localhost":
            host = left.pop(0) if len(left) > 1 else left[0]
        return resolve(host, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@CLIENTS
def test_localhost_that_leads_elsewhere_is_refused_sent_nothing_and_recorded(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, record: Path
) -> None:
    lead_localhost_to(monkeypatch, WORLD)
    with listening_at(WORLD) as (port, sent), pytest.raises(GuardRefused) as refused:
        ask("localhost", port)

    assert refused.value.layer is Layer.PEER_ADDRESS
    assert (sent, layers_in(record)) == ([], ["peer_address"])


def test_localhost_that_leads_elsewhere_once_it_was_looked_at_is_sent_nothing(
    monkeypatch: pytest.MonkeyPatch, record: Path
) -> None:
    lead_localhost_to(monkeypatch, "127.0.0.1", WORLD)
    with listening_at(WORLD) as (port, sent), pytest.raises(GuardRefused) as refused:
        by_httpx("localhost", port)

    assert refused.value.layer is Layer.PEER_ADDRESS
    assert (sent, layers_in(record)) == ([b""], ["peer_address"])


@CLIENTS
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_loopback_that_leads_to_loopback_is_asked(ask: Ask, host: str, record: Path) -> None:
    with listening_at("127.0.0.1") as (port, sent):
        ask(host, port)

    assert len(sent) == 1
    assert f"Host: {host}:{port}".encode() in sent[0]
    assert not record.exists()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "::1"])
@pytest.mark.parametrize("address", ["203.0.113.9", "127.0.0.7", "::ffff:127.0.0.1", "2001:db8::7", "0.0.0.0", ""])
def test_loopback_may_lead_to_no_other_address(host: str, address: str) -> None:
    assert peer_address.problem(host, address) is not None


@pytest.mark.parametrize(
    ("host", "address"), [("localhost", "127.0.0.1"), ("localhost", "::1"), ("testnet.binance.vision", "203.0.113.9")]
)
def test_loopback_may_lead_to_loopback_and_testnet_anywhere(host: str, address: str) -> None:
    assert peer_address.problem(host, address) is None
