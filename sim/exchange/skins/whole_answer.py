"""An answer that is sent in one piece, head and body, as the core made it.

aiohttp's own response builds, checks and serializes each header anew, which for the testnet's eighteen costs as much as
the exchange takes for the order.
"""

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp import HttpVersion10, web

from sim.exchange.wire import Answer

# These have no body by definition, whatever a fault wants to put there.
_WITHOUT_BODY = frozenset({204, 304})


def _status_line(status: int) -> str:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    return f"HTTP/1.1 {status} {reason}\r\n"


@lru_cache(maxsize=64)
def _beginning(status: int, headers: tuple[tuple[str, str], ...]) -> str:
    """The status line and the headers that many answers share."""
    return _status_line(status) + "".join(f"{name}: {value}\r\n" for name, value in headers)


@lru_cache(maxsize=2)
def _date_line(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\n"


class WholeAnswer(web.StreamResponse):
    """A response whose head and body leave in one write. Header values hold no line breaks: the core makes them."""

    def __init__(self, answer: Answer) -> None:
        # aiohttp's own state of a response, headers above all, is not made: nothing here reads it.
        self._answer = answer
        self._stays_open = False

    @property
    def keep_alive(self) -> bool:
        """Whether the connection takes another request."""
        return self._stays_open

    async def prepare(self, request: web.BaseRequest) -> None:
        """Sends everything. Raises ConnectionResetError where the client has gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        answer = self._answer
        self._stays_open = request.keep_alive
        head = [_beginning(answer.status, answer.shared_headers)]
        head += [f"{name}: {value}\r\n" for name, value in answer.own_headers]
        if answer.status not in _WITHOUT_BODY:
            head.append(f"Content-Length: {len(answer.body)}\r\n")
        head.append(_date_line(int(time.time())))
        if not self._stays_open:
            head.append("Connection: close\r\n")
        elif request.version == HttpVersion10:
            head.append("Connection: keep-alive\r\n")
        head.append("\r\n")
        bodiless = request.method == "HEAD" or answer.status in _WITHOUT_BODY
        transport.write("".join(head).encode("latin-1") + (b"" if bodiless else answer.body))

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to send."""
