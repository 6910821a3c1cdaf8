"""Packets as bytes and back: Ethernet, IPv4 and IPv6, TCP, UDP and the ICMP refusal. Pure.

Sources: RFC 791 (IPv4), 8200 (IPv6), 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP), 1071 (checksum).
"""

import struct
import sys
from array import array
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

HOME_HARDWARE = bytes.fromhex("0273696d0001")  # locally administered addresses of the two ends, and of all beyond them
FAR_HARDWARE = bytes.fromhex("0273696d0002")
BEYOND_HARDWARE = bytes.fromhex("0273696d0003")

ICMP, IGMP, TCP, UDP, ICMP6 = 1, 2, 6, 17, 58
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

_ETHERNET = struct.Struct("!6s6sH")
_IPV4, _IPV6 = 0x0800, 0x86DD
_IPV4_BYTES, _IPV6_BYTES, _TCP_BYTES, _UDP_BYTES = 20, 40, 20, 8
_FRAGMENT = 44
_EXTENSIONS = frozenset({0, 43, 60, _FRAGMENT})  # hop by hop, routing, destination options
_MAX_EXTENSIONS = 8
_HOPS = 64
_MAX_SEGMENT = struct.pack("!BBH", 2, 4, 1440)  # the TCP option that names it: 1500 less the larger headers
_QUOTED_BYTES = 512  # how much of a refused packet is sent back: enough for any headers

_OF_THE_KERNEL = range(130, 138)  # ICMPv6: multicast listeners, routers, neighbours, redirects
_LISTENER_REPORT = 143


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One IP packet; `payload` begins behind the last IP header, `whole` is all of it."""

    source: Address
    target: Address
    protocol: int
    payload: bytes
    whole: bytes

    @property
    def is_the_kernels_own(self) -> bool:
        """Whether no program asked for it: how the kernel speaks of neighbours, routers and multicast groups."""
        if self.protocol == ICMP6 and self.payload:
            return self.payload[0] in _OF_THE_KERNEL or self.payload[0] == _LISTENER_REPORT
        return self.protocol == IGMP


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One TCP segment. `sequence` and `acknowledged` are byte numbers modulo 2**32."""

    source_port: int
    target_port: int
    sequence: int
    acknowledged: int
    flags: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """One UDP datagram."""

    source_port: int
    target_port: int
    payload: bytes


def read_frame(frame: bytes) -> Packet | None:
    """The IP packet in an Ethernet frame, or None: no IP, cut short, or a later fragment (the first tells it all)."""
    if len(frame) < _ETHERNET.size:
        return None
    kind = _ETHERNET.unpack_from(frame)[2]
    whole = frame[_ETHERNET.size :]
    if kind == _IPV4 and len(whole) >= _IPV4_BYTES:
        return _read_ipv4(whole)
    if kind == _IPV6 and len(whole) >= _IPV6_BYTES:
        return _read_ipv6(whole)
    return None


def read_segment(packet: Packet) -> Segment | None:
    """The TCP segment of the packet, or None where it is cut short."""
    payload = packet.payload
    if len(payload) < _TCP_BYTES:
        return None
    source_port, target_port, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", payload)
    return Segment(
        source_port=source_port,
        target_port=target_port,
        sequence=sequence,
        acknowledged=acknowledged,
        flags=flags,
        payload=payload[(offset >> 4) * 4 :],
    )


def read_datagram(packet: Packet) -> Datagram | None:
    """The UDP datagram of the packet, or None where it is cut short."""
    payload = packet.payload
    if len(payload) < _UDP_BYTES:
        return None
    source_port, target_port = struct.unpack_from("!HH", payload)
    return Datagram(source_port=source_port, target_port=target_port, payload=payload[_UDP_BYTES:])


def tcp_answer(asked: Packet, segment: Segment) -> bytes:
    """The frame of a TCP segment from whoever `asked` was sent to, back to its sender."""
    options = _MAX_SEGMENT if segment.flags & SYN else b""
    head = struct.pack(
        "!HHIIBBHHH",
        segment.source_port,
        segment.target_port,
        segment.sequence,
        segment.acknowledged,
        (_TCP_BYTES + len(options)) // 4 << 4,
        segment.flags,
        0xFFFF,
        0,
        0,
    )
    return _answer(asked, TCP, head + options + segment.payload, checksum_at=16)


def udp_answer(asked: Packet, datagram: Datagram) -> bytes:
    """The frame of a UDP datagram from whoever `asked` was sent to, back to its sender."""
    length = _UDP_BYTES + len(datagram.payload)
    head = struct.pack("!HHHH", datagram.source_port, datagram.target_port, length, 0)
    return _answer(asked, UDP, head + datagram.payload, checksum_at=6)


def port_unreachable(asked: Packet) -> bytes:
    """The frame of the ICMP message by which a host refuses the datagram `asked`."""
    quoted = bytes(4) + asked.whole[:_QUOTED_BYTES]
    if isinstance(asked.target, IPv6Address):
        return _answer(asked, ICMP6, struct.pack("!BBH", 1, 4, 0) + quoted, checksum_at=2)
    return _answer(asked, ICMP, struct.pack("!BBH", 3, 3, 0) + quoted, checksum_at=2, with_addresses=False)


def checksum(content: bytes) -> int:
    """The Internet checksum of `content`. Source: RFC 1071."""
    words = array("H", content if len(content) % 2 == 0 else content + b"\0")
    if sys.byteorder == "little":
        words.byteswap()
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _read_ipv4(whole: bytes) -> Packet | None:
    start = (whole[0] & 0x0F) * 4
    length, fragment = int.from_bytes(whole[2:4]), int.from_bytes(whole[6:8]) & 0x1FFF
    if fragment:
        return None
    whole = whole[: length or len(whole)]  # 0 where the kernel leaves the cutting to the device
    return Packet(
        source=IPv4Address(whole[12:16]),
        target=IPv4Address(whole[16:20]),
        protocol=whole[9],
        payload=whole[start:],
        whole=whole,
    )


def _read_ipv6(whole: bytes) -> Packet | None:
    length = int.from_bytes(whole[4:6])
    whole = whole[: _IPV6_BYTES + length] if length else whole
    protocol, start = whole[6], _IPV6_BYTES
    for _ in range(_MAX_EXTENSIONS):
        if protocol not in _EXTENSIONS or len(whole) < start + 8:
            break
        if protocol == _FRAGMENT and int.from_bytes(whole[start + 2 : start + 4]) >> 3:
            return None
        step = 8 if protocol == _FRAGMENT else 8 + whole[start + 1] * 8
        protocol, start = whole[start], start + step
    return Packet(
        source=IPv6Address(whole[8:24]),
        target=IPv6Address(whole[24:40]),
        protocol=protocol,
        payload=whole[start:],
        whole=whole,
    )


def _answer(asked: Packet, protocol: int, content: bytes, *, checksum_at: int, with_addresses: bool = True) -> bytes:
    """The frame of `content` with its checksum, which ICMPv4 alone takes without the addresses."""
    source, target = asked.target.packed, asked.source.packed
    summed = source + target + struct.pack("!II", len(content), protocol) if with_addresses else b""
    total = checksum(summed + content) or (0xFFFF if protocol == UDP else 0)
    content = content[:checksum_at] + total.to_bytes(2) + content[checksum_at + 2 :]
    if isinstance(asked.target, IPv6Address):
        head = struct.pack("!IHBB", 6 << 28, len(content), protocol, _HOPS) + source + target
        return _ETHERNET.pack(HOME_HARDWARE, BEYOND_HARDWARE, _IPV6) + head + content
    start = struct.pack("!BBHHHBB", 0x45, 0, _IPV4_BYTES + len(content), 0, 0x4000, _HOPS, protocol)
    head = start + checksum(start + bytes(2) + source + target).to_bytes(2) + source + target
    return _ETHERNET.pack(HOME_HARDWARE, BEYOND_HARDWARE, _IPV4) + head + content
