"""What a session has to send: the frames of RFC 6455 that the exchange uses, and the end without one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A text frame."""

    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping frame. The payload is ASCII, because clients read it as text."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """A close frame, and then the end of the connection."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    """The connection breaks without a close frame."""


Frame = Text | Ping | Close | Abort
