"""WebSocket connections whose frames are made by hand, so that they may be wrong."""

import base64
import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.sim.exchange.fuzz.answers import WAIT_S, HttpAnswer, WrongAnswerError, parsed

TEXT: Final = 1
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
_KEY: Final = base64.b64encode(b"0123456789abcdef").decode()


def frame(
    opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0, masked: bool = True, length: int | None = None
) -> bytes:
    """A frame; `length` is what it says of itself where that is not the truth."""
    told = len(payload) if length is None else length
    first = (0x80 if fin else 0) | (reserved & 7) << 4 | (opcode & 15)
    mask = 0x80 if masked else 0
    if told < 126:
        head = struct.pack("!BB", first, mask | told)
    elif told < 65_536:
        head = struct.pack("!BBH", first, mask | 126, told)
    else:
        head = struct.pack("!BBQ", first, mask | 127, told)
    # A mask of zeros leaves the payload as it is.
    return head + (b"\0\0\0\0" if masked else b"") + payload


@dataclass
class Connection:
    """One connection after its handshake. `is_open` until a close frame or an end has come."""

    socket: socket.socket
    is_open: bool = True
    _received: bytes = field(default=b"")

    def send(self, raw: bytes) -> None:
        """Sends bytes; a connection that the server has closed takes none any more."""
        try:
            self.socket.sendall(raw)
        except (BrokenPipeError, ConnectionResetError):
            self.is_open = False

    def say(self, text: str) -> None:
        self.send(frame(TEXT, text.encode("utf-8", "surrogatepass")))

    def answer(self, is_answer: Callable[[Any], bool]) -> Any:
        """The next text that is an answer, read as JSON, events before it left out; None where the connection ends.

        Raises WrongAnswerError for a text that is no JSON, or where neither comes in time.
        """
        while self.is_open:
            opcode, payload = self._next()
            if opcode == CLOSE:
                self.is_open = False
            elif opcode == TEXT and is_answer(found := _read(payload)):
                return found
        return None

    def texts_until_end(self) -> list[Any]:
        """What comes until the server ends the connection, read as JSON. Raises WrongAnswerError."""
        found = []
        while self.is_open:
            opcode, payload = self._next()
            if opcode == TEXT:
                found.append(_read(payload))
            elif opcode == CLOSE:
                self.is_open = False
        return found

    def _next(self) -> tuple[int, bytes]:
        head = self._take(2)
        if len(head) < 2:
            self.is_open = False
            return CLOSE, b""
        length = head[1] & 0x7F
        if length == 126:
            length = struct.unpack("!H", self._take(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self._take(8))[0]
        return head[0] & 15, self._take(length)

    def _take(self, number: int) -> bytes:
        while len(self._received) < number:
            try:
                chunk = self.socket.recv(65_536)
            except TimeoutError as error:
                raise WrongAnswerError(f"nothing more came within {WAIT_S} s") from error
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                break
            self._received += chunk
        taken, self._received = self._received[:number], self._received[number:]
        return taken


def _read(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError as error:
        raise WrongAnswerError(f"expected JSON, found {payload[:200]!r}") from error


def handshake(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n\r\n"
    ).encode("utf-8", "surrogatepass")


@contextmanager
def connected(port: int, path: str) -> Iterator[Connection | HttpAnswer]:
    """A connection to that path, or the answer that refuses it."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as raw:
        raw.sendall(handshake(path))
        received = b""
        while b"\r\n\r\n" not in received:
            try:
                chunk = raw.recv(65_536)
            except TimeoutError as error:
                raise WrongAnswerError(f"no answer to a handshake within {WAIT_S} s") from error
            if not chunk:
                raise WrongAnswerError(f"the connection ended in a handshake, after {received!r}")
            received += chunk
        head, _, rest = received.partition(b"\r\n\r\n")
        if head.split(b" ", 2)[1] == b"101":
            yield Connection(raw, _received=rest)
            return
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        while len(rest) < length:
            rest += raw.recv(65_536)
        [answer] = parsed(head + b"\r\n\r\n" + rest)
        yield answer
