"""Layer `python_sockets`: whatever Python code of this process connects, sends or looks up, whichever library it uses.

An audit hook, which nothing can take out again. It does not see C that calls the system by itself, nor children.
"""

import socket
import sys
from typing import Any, Final

from sim.guard.hosts import LOOPBACK
from sim.guard.refusal import Layer, refusal, shown

_TO_AN_ADDRESS: Final = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_OF_A_NAME: Final = {"socket.getaddrinfo", "socket.gethostbyname"}


def problem(event: str, args: tuple[Any, ...]) -> str | None:
    """Why the audit event may not go on, or None: only loopback addresses and Unix sockets are reached."""
    if event in _OF_A_NAME:
        name = args[0]
        host = name.decode("latin-1") if isinstance(name, bytes) else name
        return None if not host or _is_loopback(host) else f"expected no lookup but of loopback, found {shown(host)}"
    if event not in _TO_AN_ADDRESS or args[0].family not in (socket.AF_INET, socket.AF_INET6):
        return None
    address = args[1]
    if not isinstance(address, tuple) or _is_loopback(str(address[0])):
        return None
    return f"expected a loopback address, found {shown(address[0])} port {address[1]}"


def put_in_force() -> None:
    """Effects: for the rest of this process. What is refused raises `GuardRefused` (`guard/python_sockets`)."""
    sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event.startswith("socket."):
        why = problem(event, args)
        if why is not None:
            raise refusal(Layer.PYTHON_SOCKETS, why)


def _is_loopback(host: str) -> bool:
    return host.lower() in LOOPBACK
