"""Clients that are slow: some send a request a few bytes at a time, some listen to streams and never read."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.sim.exchange.fuzz.answers import WAIT_S
from tests.sim.exchange.fuzz.sockets import handshake
from tests.sim.exchange.fuzz.target import Target

_SLOWLY: Final = b"GET /api/v3/time HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 40 + b"\r\nConnection: close\r\n\r\n"
_AT_A_TIME: Final = 5
_STREAMS: Final = "/stream?streams=btcusdt@depth@100ms/btcusdt@trade/!miniTicker@arr/btcusdt@bookTicker/btcusdt@depth20"


class Crowd:
    """Slow clients of one target. `turns` is how often each has done its next little."""

    def __init__(self, target: Target, number: int) -> None:
        self._target = target
        self._number = number
        self._senders: list[tuple[socket.socket, int]] = []
        self._deaf: list[socket.socket] = []
        self.turns = 0
        self.opened = 0

    def turn(self) -> None:
        """Each sends its next bytes, or hears of some trades; those that the server has closed come anew."""
        self.turns += 1
        self._senders = [self._next_bytes(each, sent) for each, sent in self._senders]
        while len(self._senders) < self._number:
            self._senders.append((self._open(b""), 0))
        self._deaf = [each for each in self._deaf if _is_open(each)]
        while len(self._deaf) < self._number:
            self._deaf.append(self._open(handshake(_STREAMS)))
        for step in range(10):
            price = f"{64_000 + (self.turns * 7 + step) % 900}.00"
            self._target.command("price", symbol="BTCUSDT", price=price)
        self._target.command("clock/advance", ms=1000)
        self._target.now_ms += 1000

    def _next_bytes(self, connection: socket.socket, sent: int) -> tuple[socket.socket, int]:
        try:
            connection.sendall(_SLOWLY[sent : sent + _AT_A_TIME])
        except OSError:
            sent = len(_SLOWLY)
        if sent + _AT_A_TIME < len(_SLOWLY):
            return connection, sent + _AT_A_TIME
        connection.close()
        return self._open(b""), 0

    def _open(self, first: bytes) -> socket.socket:
        self.opened += 1
        connection = socket.create_connection(("127.0.0.1", self._target.api_port), timeout=WAIT_S)
        # As little as the system allows, so that what is not read soon fills the server's side.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.sendall(first)
        return connection

    def go(self) -> None:
        """All close their connections."""
        for each in [*self._deaf, *(connection for connection, _ in self._senders)]:
            each.close()


def _is_open(connection: socket.socket) -> bool:
    """Whether the server has not closed it; what it has sent stays unread."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextmanager
def slow_crowd(target: Target, number: int) -> Iterator[Crowd]:
    """So many of each kind of slow client, until the block ends."""
    crowd = Crowd(target, number)
    try:
        yield crowd
    finally:
        crowd.go()
