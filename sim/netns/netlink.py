"""Interfaces, addresses and routes of the network namespace that we are in, straight to the kernel: no `ip` is needed.

Sources: linux/rtnetlink.h, linux/if_link.h, linux/veth.h; RFC 3549.
"""

import errno
import os
import socket
import struct
from contextlib import suppress
from ipaddress import IPv6Address
from types import TracebackType

from sim.netns.packets import Address

_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_REQUEST, _ACKNOWLEDGE, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_ERROR = 2

_HEAD = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, which flags
_ADDRESS = struct.Struct("=BBBBi")  # family, prefix, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, bits of target, of source, service, table, protocol, scope, type, flags

_UP, _NO_ARP = 0x1, 0x80
_LINK_ADDRESS, _LINK_NAME, _LINK_KIND = 1, 3, 18
_KIND, _KIND_CONTENT, _PEER = 1, 2, 1
_LOCAL_ADDRESS, _PEER_ADDRESS = 2, 1
_NO_DUPLICATE_CHECK = 0x2
_ROUTE_DEVICE, _ROUTE_SOURCE = 4, 7
_MAIN_TABLE, _STATIC, _ON_LINK, _UNICAST = 254, 4, 253, 1
_ANSWER_BYTES = 16 * 1024
_TIMEOUT_S = 5.0


class Netlink:
    """A conversation with the kernel about the network; each method raises `OSError` where the kernel refuses."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.settimeout(_TIMEOUT_S)
        self._sequence = 0

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def make_pair(self, here: tuple[str, bytes], there: tuple[str, bytes]) -> None:
        """Effects: two interfaces by name and hardware address; what goes out by one comes in by the other."""
        kind = _attribute(_KIND, b"veth") + _attribute(
            _KIND_CONTENT, _attribute(_PEER, _LINK.pack(0, 0, 0, 0, 0) + _named(there))
        )
        content = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _named(here) + _attribute(_LINK_KIND, kind)
        self._ask(_NEW_LINK, _CREATE | _EXCLUSIVE, content)

    def bring_up(self, name: str, *, with_arp: bool = False) -> None:
        """Effects: the interface carries packets. Without ARP it never asks who has an address, but sends at once."""
        flags = _UP if with_arp else _UP | _NO_ARP
        self._ask(_NEW_LINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, socket.if_nametoindex(name), flags, _UP | _NO_ARP))

    def lead_everything_to(self, name: str, home: Address) -> None:
        """Effects: the interface has the address `home`, and every address of its family is reached through it."""
        index = socket.if_nametoindex(name)
        family = socket.AF_INET6 if isinstance(home, IPv6Address) else socket.AF_INET
        flags = _NO_DUPLICATE_CHECK if family == socket.AF_INET6 else 0
        local = _attribute(_LOCAL_ADDRESS, home.packed) + _attribute(_PEER_ADDRESS, home.packed)
        self._ask(
            _NEW_ADDRESS, _CREATE | _EXCLUSIVE, _ADDRESS.pack(family, home.max_prefixlen, flags, 0, index) + local
        )
        scope = _ON_LINK if family == socket.AF_INET else 0
        route = _ROUTE.pack(family, 0, 0, 0, _MAIN_TABLE, _STATIC, scope, _UNICAST, 0)
        through = _attribute(_ROUTE_DEVICE, struct.pack("=i", index)) + _attribute(_ROUTE_SOURCE, home.packed)
        self._ask(_NEW_ROUTE, _CREATE, route + through)

    def _ask(self, kind: int, flags: int, content: bytes) -> None:
        self._sequence += 1
        head = _HEAD.pack(_HEAD.size + len(content), kind, flags | _REQUEST | _ACKNOWLEDGE, self._sequence, 0)
        self._socket.send(head + content)
        answer = self._socket.recv(_ANSWER_BYTES)
        _, answered, *_ = _HEAD.unpack_from(answer)
        code = -struct.unpack_from("=i", answer, _HEAD.size)[0] if answered == _ERROR else errno.EPROTO
        if code:
            raise OSError(code, os.strerror(code))


def has_ipv6() -> bool:
    """Whether this kernel speaks IPv6 in this network namespace."""
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def _named(end: tuple[str, bytes]) -> bytes:
    name, hardware = end
    return _attribute(_LINK_NAME, name.encode() + b"\0") + _attribute(_LINK_ADDRESS, hardware)


def _attribute(kind: int, content: bytes) -> bytes:
    length = 4 + len(content)
    return struct.pack("=HH", length, kind) + content + bytes(-length % 4)
