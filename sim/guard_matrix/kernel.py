"""Layer `kernel`: the process and its children, in any language, open no TCP connection but to given ports, and no
other kind of internet socket.

Landlock judges TCP by port; a seccomp filter refuses datagram and raw sockets of IPv4 and IPv6 (EACCES).
"""

import ctypes
import platform
import struct
from collections.abc import Sequence
from typing import Final

from sim.errors import SimError
from sim.witness.landlock import restrict

_SYSCALLS: Final = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""The audit architecture and the number of `socket`; linux/audit.h, asm/unistd.h."""
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 13
_PR_SET_SECCOMP, _FILTER, _PR_SET_NO_NEW_PRIVS = 22, 2, 38
_INET, _INET6, _STREAM, _TYPE_MASK = 2, 10, 1, 0xF
_X32_BIT: Final = 0x40000000
_IO_URING_SETUP: Final = 425  # a ring makes sockets that no filter sees
_NUMBER_AT, _ARCHITECTURE_AT, _FAMILY_AT, _TYPE_AT = 0, 4, 16, 24


def put_in_force(ports: Sequence[int]) -> None:
    """Effects: for the rest of this process and all its children: TCP to `ports` only, no UDP, no raw socket.

    Raises: `SimError` (`guard/kernel_unavailable`) where the kernel cannot.
    """
    outcome = restrict(writable=["/"], connect_tcp_ports=list(ports))
    if not outcome.enforced or "network" in outcome.missing:
        raise SimError("guard/kernel_unavailable", f"Landlock cannot confine TCP here: {outcome.reason}")
    _refuse_datagrams()


def _refuse_datagrams() -> None:
    if platform.machine() not in _SYSCALLS:
        raise SimError("guard/kernel_unavailable", f"no seccomp filter for {platform.machine()}; add its numbers")
    content = _program(*_SYSCALLS[platform.machine()])
    count = len(content) // 8
    buffer = ctypes.create_string_buffer(content, len(content))
    header = struct.pack("HxxxxxxP", count, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or library.prctl(_PR_SET_SECCOMP, _FILTER, header, 0, 0):
        raise SimError("guard/kernel_unavailable", f"seccomp was refused, errno {ctypes.get_errno()}")


def _program(architecture: int, socket_number: int) -> bytes:
    """The filter: another architecture's call ends the process; of `socket` only streams of the internet pass."""
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 9, 0, _X32_BIT),
        (_EQUAL, 8, 0, _IO_URING_SETUP),
        (_EQUAL, 0, 6, socket_number),
        (_LOAD, 0, 0, _FAMILY_AT),
        (_EQUAL, 1, 0, _INET),
        (_EQUAL, 0, 3, _INET6),
        (_LOAD, 0, 0, _TYPE_AT),
        (_AND, 0, 0, _TYPE_MASK),
        (_EQUAL, 0, 1, _STREAM),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
