"""A process that reaches loopback and nothing else: an audit hook refuses every other address and name."""

import sys
from typing import Any, Final

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class LeavesLoopbackError(RuntimeError):
    """The process asked for an address or a name outside of loopback."""


def stay_on_loopback() -> None:
    """From now on, and for as long as the process lives."""
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host is not None and str(host) not in _LOOPBACK:
        raise LeavesLoopbackError(f"expected loopback, found {host}; the client is pointed elsewhere")
