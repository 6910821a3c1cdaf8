"""Requests as bytes, signed beforehand, and a client that does nothing but send them and read the answers."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Sequence

API_KEY = "k" * 64
SECRET = "a secret of the benchmark"
NOW_US = 1_781_506_395_799_000


def hello() -> bytes:
    """A request that costs a server as little as one can."""
    return b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n"


def market_order(side: str) -> bytes:
    """A signed market order for a thousandth of a bitcoin."""
    query = f"symbol=BTCUSDT&side={side}&type=MARKET&quantity=0.001&recvWindow=5000&timestamp={NOW_US // 1000}"
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    return (
        f"POST /api/v3/order?{query}&signature={signature} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: benchmark\r\n"
        f"Accept: */*\r\nX-MBX-APIKEY: {API_KEY}\r\nContent-Length: 0\r\n\r\n"
    ).encode()


class _Connection(asyncio.BufferedProtocol):
    """Sends the next request when the last one was answered with 200."""

    def __init__(self, requests: Sequence[bytes], taken: list[float], done: asyncio.Future[None]) -> None:
        self._waiting = list(reversed(requests))
        self._taken = taken
        self._done = done
        self._received = b""
        self._buffer = bytearray(65536)
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received += self._buffer[:nbytes]
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._done.set_exception(ConnectionError(self._received.decode()))
            return
        self._taken.append(time.perf_counter() - self._began)
        self._received = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        if not self._waiting:
            self._done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(self._waiting.pop())


async def drive(port: int, requests: Sequence[Sequence[bytes]]) -> tuple[float, list[float]]:
    """Seconds until all were answered, and the seconds each took; one connection for each row of requests."""
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    finished = [loop.create_future() for _ in requests]
    began = time.perf_counter()
    opened = [
        await loop.create_connection(lambda row=row, done=done: _Connection(row, taken, done), "127.0.0.1", port)  # type: ignore[misc]
        for row, done in zip(requests, finished, strict=True)
    ]
    await asyncio.gather(*finished)
    elapsed = time.perf_counter() - began
    for transport, _ in opened:
        transport.close()
    return elapsed, taken
