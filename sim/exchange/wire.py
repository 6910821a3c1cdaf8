"""What comes in and what goes out, before and behind any transport."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request: the path without its query, the query and the body raw, exactly as they were sent.

    `headers` is asked for names in small letters. `address` is the client's; limits and bans go by it. `signed_text` is
    what the signature signs where that is not the query and the body.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    address: str = "127.0.0.1"
    signed_text: str | None = None

    @classmethod
    def of(
        cls,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        address: str = "127.0.0.1",
    ) -> Self:
        """A request from its target, `/path?query`, and headers in any spelling."""
        path, _, query = target.partition("?")
        small = {name.lower(): value for name, value in (headers or {}).items()}
        return cls(method=method, path=path, query=query, headers=small, body=body, address=address)

    @property
    def is_message(self) -> bool:
        """Whether it came by the WebSocket API, whose answers order some keys otherwise."""
        return self.signed_text is not None

    @property
    def body_text(self) -> str:
        """The body, byte by byte: what is not ASCII shows as such and is nowhere accepted."""
        return self.body.decode("latin-1")


class WireFaultKind(StrEnum):
    """What the transport does instead of handing over a whole answer."""

    HANG = "hang"
    """Never answers; the connection stays open until the client or the server gives up."""
    DROP = "drop"
    """Closes the connection without a byte."""
    RESET = "reset"
    """Breaks the connection with RST."""
    CUT = "cut"
    """Sends the head and part of the body, then closes: fewer bytes come than Content-Length says."""


class WireFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault below HTTP. `delay_s` passes, and the barrier `barrier` is waited for, before the answer is sent."""

    kind: WireFaultKind | None = None
    delay_s: float = 0.0
    barrier: str = ""
    keep_bytes: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `fault` says what the transport must do to it; None: send it.

    `shared_headers` come first, and are one object for many answers, so that a transport may write them down once.
    """

    status: int
    own_headers: list[tuple[str, str]]
    body: bytes
    fault: WireFault | None = None
    shared_headers: tuple[tuple[str, str], ...] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers."""
        return [*self.shared_headers, *self.own_headers]
