"""The world as a state machine: it accepts, hears, tells once, and hangs up, whatever it is sent."""

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from sim.netns import packets
from sim.netns.attempts import Attempt
from sim.netns.names import NameBook
from sim.netns.packets import ACK, FIN, RST, SYN, TCP, Packet, Segment
from sim.netns.tripwire import MAX_OPEN, MAX_SILENCE_S, Tripwire

HERE, THERE = IPv4Address("198.18.0.1"), IPv4Address("203.0.113.7")
HEAD = packets.FAR_HARDWARE + packets.HOME_HARDWARE + b"\x08\0"


class World:
    """A trip-wire, its clock, what it told, and a client that speaks to it from one port."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[Attempt] = []
        self.tripwire = Tripwire(
            names=NameBook(hosts={}, local=()),
            find_owner=lambda protocol, here, there: None,
            told=self.told.append,
            now_ns=lambda: 7,
            clock=lambda: self.now,
        )
        self.sequence, self.port = 2**32 - 1, 40000
        self.acknowledged = 0

    def send(self, flags: int, payload: bytes = b"", *, ahead: int = 0) -> list[Segment]:
        """What is answered to a segment. Effects: our place moves behind it, unless it is sent ahead of its turn."""
        segment = Segment(
            source_port=self.port,
            target_port=443,
            sequence=(self.sequence + ahead) % 2**32,
            acknowledged=self.acknowledged,
            flags=flags,
            payload=payload,
        )
        whole = packets.tcp_answer(Packet(source=THERE, target=HERE, protocol=TCP, payload=b"", whole=b""), segment)
        answers = read(self.tripwire.receive(HEAD + whole[14:]))
        if not ahead:
            self.sequence = (self.sequence + len(payload) + bool(flags & (SYN | FIN))) % 2**32
        for answer in answers:
            self.acknowledged = (answer.sequence + len(answer.payload) + bool(answer.flags & SYN)) % 2**32
        return answers

    def said(self) -> list[tuple[str, str]]:
        return [(one.what, one.said) for one in self.told]


def read(frames: list[bytes]) -> list[Segment]:
    packed = [packets.read_frame(frame) for frame in frames]
    segments = [packets.read_segment(packet) for packet in packed if packet is not None]
    return [segment for segment in segments if segment is not None]


def flags_of(answers: list[Segment]) -> list[int]:
    return [answer.flags for answer in answers]


def test_connection_is_accepted_heard_and_reset() -> None:
    world = World()
    accepted = world.send(SYN)
    received = world.send(ACK)
    ended = world.send(ACK, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")

    assert (flags_of(accepted), received, flags_of(ended)) == ([SYN | ACK], [], [RST | ACK])
    assert ended[0].acknowledged == world.sequence
    assert world.said() == [("network.connect", "HTTP GET for a.example")]
    assert world.told[0].host == "a.example"


def test_greeting_in_pieces_is_acknowledged_piece_by_piece() -> None:
    world = World()
    world.send(SYN)
    receipts = [world.send(ACK, piece) for piece in (b"GET / HT", b"TP/1.1\r\n", b"Host: a\r\n")]

    assert [flags_of(answers) for answers in receipts] == [[ACK]] * 3
    assert receipts[-1][0].acknowledged == world.sequence
    assert flags_of(world.send(ACK, b"\r\n")) == [RST | ACK]


def test_piece_that_comes_before_its_turn_is_not_heard_until_then() -> None:
    world = World()
    world.send(SYN)
    early = world.send(ACK, b"TP/1.0\r\n\r\n", ahead=8)
    expected = world.sequence
    world.send(ACK, b"GET / HT")
    world.send(ACK, b"TP/1.0\r\n\r\n")

    assert (flags_of(early), early[0].acknowledged) == ([ACK], expected)
    assert world.said() == [("network.connect", "HTTP GET")]


def test_opening_that_is_sent_again_is_accepted_again_and_told_once() -> None:
    world = World()
    first = world.send(SYN)
    world.sequence = 2**32 - 1
    assert world.send(SYN) == first
    world.tripwire.close()

    assert world.said() == [("network.connect", "nothing")]


def test_client_that_asks_for_tls_of_postgres_is_told_no_and_goes_on() -> None:
    world = World()
    world.send(SYN)
    refused = world.send(ACK, b"\0\0\0\x08\x04\xd2\x16\x2f")
    world.send(ACK, b"\0\0\0\x13\0\3\0\0user\0gui\0\0\0")

    assert [(one.flags, one.payload) for one in refused] == [(ACK, b"N")]
    assert world.said() == [("network.connect", "PostgreSQL, user gui")]


def test_silent_client_is_reset_after_its_time() -> None:
    world = World()
    world.send(SYN)
    world.now = 0.5
    world.send(ACK, b"GET")
    world.now = 0.4 + MAX_SILENCE_S
    early = world.tripwire.expire()
    assert world.tripwire.deadline == 0.5 + MAX_SILENCE_S
    world.now = 0.5 + MAX_SILENCE_S
    ended = read(world.tripwire.expire())

    assert (early, flags_of(ended)) == ([], [RST | ACK])
    assert [world.tripwire.deadline] == [None]
    assert world.said() == [("network.connect", "3 bytes, not all of a greeting")]


def test_client_that_closes_or_breaks_off_is_told() -> None:
    for end, answers in ((FIN | ACK, [RST | ACK]), (RST, [])):
        world = World()
        world.send(SYN)
        assert flags_of(world.send(end)) == answers
        assert world.said() == [("network.connect", "nothing")]


def test_segment_of_no_connection_is_reset_and_no_attempt() -> None:
    world = World()

    assert flags_of(world.send(ACK, b"late")) == [RST]
    assert flags_of(world.send(FIN)) == [RST | ACK]
    assert (world.send(RST), world.told) == ([], [])


def test_greeting_without_end_is_heard_to_a_bound() -> None:
    world = World()
    world.send(SYN)
    answers = [world.send(ACK, b"GET / HTTP/1.1\r\n" + b"x" * 1424) for _ in range(12)]

    assert [flags_of(one) for one in answers] == [[ACK]] * 11 + [[RST | ACK]]
    assert world.said() == [("network.connect", "16384 bytes, not all of a greeting")]


def test_connections_beyond_the_bound_are_refused_and_told() -> None:
    world = World()
    for port in range(MAX_OPEN):
        world.port = 10_000 + port
        world.send(SYN)
    world.port = 1
    refused = world.send(SYN)

    assert flags_of(refused) == [RST | ACK]
    assert world.said() == [("network.connect", f"not listened to: {MAX_OPEN} others were being")]


def test_new_opening_on_the_ports_of_an_old_one_is_another_attempt() -> None:
    world = World()
    world.send(SYN)
    world.send(SYN)
    world.tripwire.close()

    assert world.said() == [("network.connect", "nothing")] * 2


def test_protocol_that_is_neither_tcp_nor_udp_is_told_by_its_number() -> None:
    world = World()
    ends = HERE.packed + THERE.packed + bytes(8)
    packed = [b"\x45\0\0\x1c\0\0\0\0\x40" + bytes([protocol, 0, 0]) + ends for protocol in (1, 132)]
    answers = [world.tripwire.receive(HEAD + packet) for packet in packed]

    assert answers == [[], []]
    assert [(one.what, one.host, one.port, one.transport) for one in world.told] == [
        ("network.send", "203.0.113.7", None, "icmp"),
        ("network.send", "203.0.113.7", None, "protocol 132"),
    ]


@given(
    st.binary(max_size=120),
    st.sampled_from([b"", b"\x08\0\x45", b"\x08\0\x4f", b"\x86\xdd\x60"]),
    st.sampled_from([0, 6, 17, 58]),
)
def test_no_frame_breaks_it(content: bytes, start: bytes, protocol: int) -> None:
    world = World()
    frame = bytearray(packets.FAR_HARDWARE + packets.HOME_HARDWARE + start + content + bytes(24))
    frame[23], frame[20] = protocol, protocol or frame[20]  # where IPv4 has its protocol, and IPv6
    world.tripwire.receive(bytes(frame))
    world.tripwire.close()

    assert len(world.told) <= 1


@given(st.lists(st.tuples(st.integers(0, 63), st.binary(max_size=40), st.integers(0, 9)), max_size=12))
def test_no_order_of_segments_breaks_it_and_each_opening_is_told_once(steps: list[tuple[int, bytes, int]]) -> None:
    world = World()
    openings = set()
    for flags, payload, ahead in steps:
        openings |= {(world.sequence + ahead) % 2**32} if flags & (SYN | ACK | RST) == SYN else set()
        world.send(flags, payload, ahead=ahead)
    world.tripwire.close()

    assert len(world.told) >= len(openings)
    assert world.tripwire.deadline is None
