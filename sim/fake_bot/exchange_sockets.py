"""WebSocket connections of a bot that has one thread: it reads when it looks, and never waits without a bound."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self
from weakref import WeakKeyDictionary

from sim.guard import client_settings, exchange_socket

MAX_MESSAGE_BYTES: Final = 1_048_576
MAX_END_S: Final = 1.0
"""How long sockets may take to be let go of at the end: a few turns of the loop, measured."""


class SocketLost(Exception):
    """The connection is not there, or is no use any more. `str` tells why."""


class Socket(Protocol):
    """A connection that was made."""

    def send(self, text: str) -> None:
        """Sends a text. Raises: `SocketLost`."""
        ...

    def receive(self) -> str:
        """The next text, waited for within a bound. Raises: `SocketLost` where none comes."""
        ...

    def close(self) -> None:
        """Ends the connection, without waiting for the other side."""
        ...


class Connect(Protocol):
    """Makes connections."""

    def __call__(self, target: str) -> Socket:
        """A new connection to `target`, what stands behind the host. Raises: `SocketLost`."""
        ...


class SocketMaker:
    """Connections to one host by aiohttp, whose loop runs only while the bot waits for something."""

    def __init__(self, url: str, *, timeout_s: float, authorities: Path | None = None) -> None:
        """`url` is scheme, host and port; `authorities` as of `exchange_socket.open_session`.

        Raises: `GuardRefused`, recorded, for anything but testnet or loopback.
        """
        self._url = exchange_socket.require(url).rstrip("/")
        self._authorities = authorities
        self._timeout_s = timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: Any = None
        self._wires: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(_ended(self._session, dict(self._wires)))
            self._loop.close()

    def __call__(self, target: str) -> Socket:
        """See `Connect`. Raises: `GuardRefused`, recorded, also for a server that leads elsewhere or proves nothing."""
        import aiohttp  # see `open_session`
        import yarl

        address = yarl.URL(self._url + target, encoded=True)
        exchange_socket.require_as_read(address)
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._session = self._loop.run_until_complete(
                exchange_socket.open_session(self._authorities, wires=self._wires)
            )
        connecting = self._session.ws_connect(address, max_msg_size=MAX_MESSAGE_BYTES, timeout=_close_within(aiohttp))
        try:
            connected = self._loop.run_until_complete(asyncio.wait_for(connecting, self._timeout_s))
        except aiohttp.ClientConnectorCertificateError as error:
            raise client_settings.certificate_refused(address.raw_host, error.certificate_error) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SocketLost(f"no connection, {type(error).__name__}") from error
        return _AiohttpSocket(self._loop, connected, aiohttp.WSMsgType.TEXT, timeout_s=self._timeout_s)


async def _ended(session: Any, wires: Mapping[Any, Any]) -> None:
    """Effects: no socket is open: nobody waits for the goodbye of the other side of TLS."""
    await session.close()
    for transport, wire in wires.items():
        with suppress(OSError):
            wire.shutdown(socket.SHUT_RDWR)
        # Before 3.11.5 one that was closed twice has lost sight of its connection, which then ends by its socket.
        with suppress(AttributeError):
            transport.abort()
    with suppress(TimeoutError):
        async with asyncio.timeout(MAX_END_S):
            while any(wire.fileno() >= 0 for wire in wires.values()):
                await asyncio.sleep(0)


def _close_within(aiohttp: Any) -> Any:
    """A connection that is closed is not waited for: what matters of it has been read."""
    return aiohttp.ClientWSTimeout(ws_close=0.0)


class _AiohttpSocket:
    def __init__(self, loop: asyncio.AbstractEventLoop, connected: Any, text_type: Any, *, timeout_s: float) -> None:
        self._loop = loop
        self._connected = connected
        self._text_type = text_type
        self._timeout_s = timeout_s

    def send(self, text: str) -> None:
        try:
            self._loop.run_until_complete(self._connected.send_str(text))
        except (OSError, RuntimeError) as error:
            raise SocketLost(f"could not send, {type(error).__name__}") from error

    def receive(self) -> str:
        try:
            message = self._loop.run_until_complete(asyncio.wait_for(self._connected.receive(), self._timeout_s))
        except (OSError, RuntimeError, TimeoutError) as error:
            raise SocketLost(f"nothing came, {type(error).__name__}") from error
        if message.type is not self._text_type:
            raise SocketLost(f"the other side ended it, {message.type.name} {self._connected.close_code}")
        return str(message.data)

    def close(self) -> None:
        self._loop.run_until_complete(self._connected.close())
