"""Packets are read as they were written, their checksums hold, and no bytes at all break the reader."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.netns import packets
from sim.netns.packets import ACK, ICMP, ICMP6, SYN, TCP, UDP, Address, Datagram, Packet, Segment

IPV4 = (IPv4Address("198.18.0.1"), IPv4Address("203.0.113.7"))
IPV6 = (IPv6Address("2001:2::1"), IPv6Address("2001:db8::7"))
BOTH = pytest.mark.parametrize(("source", "target"), [IPV4, IPV6], ids=["IPv4", "IPv6"])
FRAME_HEAD = packets.FAR_HARDWARE + packets.HOME_HARDWARE


def asked(source: Address, target: Address, protocol: int = TCP, payload: bytes = b"") -> Packet:
    return Packet(source=source, target=target, protocol=protocol, payload=payload, whole=b"\x45" * 60)


def read(frame: bytes) -> Packet:
    packet = packets.read_frame(frame)
    assert packet is not None
    return packet


def sum_with_addresses(packet: Packet) -> int:
    """0 where the checksum of what a packet carries is right."""
    head = packet.source.packed + packet.target.packed
    return packets.checksum(head + len(packet.payload).to_bytes(4) + packet.protocol.to_bytes(4) + packet.payload)


@BOTH
@pytest.mark.parametrize("payload", [b"", b"N", b"even"])
@pytest.mark.parametrize("flags", [ACK, SYN | ACK])
def test_segment_is_read_as_it_was_written(source: Address, target: Address, payload: bytes, flags: int) -> None:
    segment = Segment(
        source_port=443, target_port=40000, sequence=2**32 - 1, acknowledged=7, flags=flags, payload=payload
    )
    packet = read(packets.tcp_answer(asked(source, target), segment))

    assert (packet.source, packet.target, packet.protocol) == (target, source, TCP)
    assert packets.read_segment(packet) == segment
    assert sum_with_addresses(packet) == 0


@BOTH
@pytest.mark.parametrize("payload", [b"", b"odd", b"even"])
def test_datagram_is_read_as_it_was_written(source: Address, target: Address, payload: bytes) -> None:
    datagram = Datagram(source_port=53, target_port=40000, payload=payload)
    packet = read(packets.udp_answer(asked(source, target), datagram))

    assert packets.read_datagram(packet) == datagram
    assert sum_with_addresses(packet) == 0


def test_head_of_ipv4_has_its_own_checksum() -> None:
    frame = packets.udp_answer(asked(*IPV4), Datagram(source_port=1, target_port=2, payload=b""))

    assert packets.checksum(frame[14:34]) == 0


@pytest.mark.parametrize(
    ("ends", "protocol", "kind"), [(IPV4, ICMP, b"\x03\x03"), (IPV6, ICMP6, b"\x01\x04")], ids=["IPv4", "IPv6"]
)
def test_refusal_quotes_what_it_refuses(ends: tuple[Address, Address], protocol: int, kind: bytes) -> None:
    refused = asked(*ends, UDP)
    packet = read(packets.port_unreachable(refused))

    assert (packet.protocol, packet.payload[:2]) == (protocol, kind)
    assert packet.payload[8:] == refused.whole


def test_checksum_is_that_of_the_example() -> None:
    # RFC 1071 §3: the sum of these words is ddf2, and the checksum its complement.
    assert packets.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


def ipv6(first: int, content: bytes) -> bytes:
    head = (6 << 28).to_bytes(4) + len(content).to_bytes(2) + bytes([first, 64])
    return FRAME_HEAD + b"\x86\xdd" + head + IPV6[0].packed + IPV6[1].packed + content


@pytest.mark.parametrize(
    "extension", [(0, bytes(7)), (43, b"\x01" + bytes(14)), (60, bytes(7)), (44, bytes(7))], ids=str
)
def test_extension_headers_of_ipv6_are_passed_over(extension: tuple[int, bytes]) -> None:
    number, rest = extension
    packet = read(ipv6(number, bytes([UDP]) + rest + b"\0\1\0\2\0\x09\0\0x"))

    assert packet.protocol == UDP
    assert packets.read_datagram(packet) == Datagram(source_port=1, target_port=2, payload=b"x")


def test_later_fragment_is_none_for_the_first_tells_it_all() -> None:
    ipv4 = b"\x45\0\0\x1c\0\0\0\x01\x40\x11\0\0" + IPV4[0].packed + IPV4[1].packed + bytes(8)

    assert packets.read_frame(ipv6(44, bytes([UDP, 0, 0, 8]) + bytes(12))) is None
    assert packets.read_frame(FRAME_HEAD + b"\x08\0" + ipv4) is None


@pytest.mark.parametrize(
    ("protocol", "payload", "own"),
    [
        (ICMP6, b"\x8f\0", True),  # multicast listener report
        (ICMP6, b"\x85\0", True),  # router solicitation
        (packets.IGMP, b"\x16", True),
        (ICMP6, b"\x80\0", False),  # echo request: somebody pings
        (ICMP6, b"", False),
        (ICMP, b"\x08\0", False),
        (UDP, b"\x8f\0", False),
    ],
)
def test_what_the_kernel_says_of_itself_is_nobodys_attempt(protocol: int, payload: bytes, own: bool) -> None:
    assert asked(*IPV6, protocol, payload).is_the_kernels_own is own


@given(st.binary(max_size=200), st.sampled_from([b"\x08\0", b"\x86\xdd", b"\x08\x06"]))
def test_no_frame_breaks_the_reader(content: bytes, kind: bytes) -> None:
    packet = packets.read_frame(FRAME_HEAD + kind + content)

    assert packet is None or packet.whole == content[: len(packet.whole)]
    assert packet is None or packets.read_segment(packet) is None or len(packet.payload) >= 20
    assert packet is None or packets.read_datagram(packet) is None or len(packet.payload) >= 8
