"""The world as the namespace sees it: it accepts every connection, hears whom it is taken for, and hangs up.

A state machine without sockets: frames go in, frames and attempts come out. Every address answers on every TCP port;
a datagram is refused as by a host that has nobody on that port, so that its sender does not wait.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sim.netns import packets
from sim.netns.attempts import CONNECT, RESOLVE, SEND, Attempt, Owner
from sim.netns.greeting import MAX_BYTES, Heard, listen
from sim.netns.names import PORT, RESOLVER_IPV4, NameBook, Question, read_question
from sim.netns.packets import ACK, FIN, RST, SYN, TCP, UDP, Address, Datagram, Packet, Segment

MAX_SILENCE_S = 1.0
"""How long a client that has not said all is listened to after its last byte; by then it waits for us to speak."""
MAX_OPEN = 4096
"""Connections listened to at once; a further one is told of and refused."""

_MULTICAST_NAMES = frozenset({5353, 5355})  # mDNS and LLMNR: DNS questions to whoever is near
_FIRST_BYTES = 1 << 32

FindOwner = Callable[[int, tuple[Address, int], tuple[Address, int]], Owner | None]
Key = tuple[Address, int, Address, int]


@dataclass(slots=True, kw_only=True)
class _Connection:
    attempt: Attempt
    asked: Packet
    opening: Segment
    sent: int  # the next sequence number of ours, and of theirs
    expected: int
    deadline: float
    heard: bytearray = field(default_factory=bytearray)


class Tripwire:
    """Answers frames and tells attempts.

    `find_owner` looks up a socket's process, `now_ns` counts nanoseconds since 1970, `clock` seconds from anywhere.
    Each attempt goes to `told` once it is known whole.
    """

    def __init__(
        self,
        *,
        names: NameBook,
        find_owner: FindOwner,
        told: Callable[[Attempt], None],
        now_ns: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._names = names
        self._find_owner = find_owner
        self._told = told
        self._now_ns = now_ns
        self._clock = clock
        self._open: dict[Key, _Connection] = {}
        self._chance = random.Random()

    def receive(self, frame: bytes) -> list[bytes]:
        """The frames that answer `frame`."""
        packet = packets.read_frame(frame)
        if packet is None or packet.is_the_kernels_own:
            return []
        if packet.protocol == TCP:
            segment = packets.read_segment(packet)
            return self._segment(packet, segment) if segment is not None else []
        if packet.protocol == UDP:
            datagram = packets.read_datagram(packet)
            return self._datagram(packet, datagram) if datagram is not None else []
        transport = _TRANSPORTS.get(packet.protocol, f"protocol {packet.protocol}")
        self._told(self._attempt(SEND, packet, None, None, transport=transport))
        return []

    def expire(self) -> list[bytes]:
        """The frames that end connections whose client says no more."""
        now = self._clock()
        return [self._end(key) for key, one in list(self._open.items()) if one.deadline <= now]

    def close(self) -> None:
        """Effects: what was heard on connections that are still open is told."""
        for key in list(self._open):
            self._end(key)

    @property
    def deadline(self) -> float | None:
        """When `expire` has something to do next, by `clock`."""
        return min((one.deadline for one in self._open.values()), default=None)

    def _datagram(self, packet: Packet, datagram: Datagram) -> list[bytes]:
        question = read_question(datagram.payload) if datagram.target_port in {PORT, *_MULTICAST_NAMES} else None
        if question is not None and datagram.target_port == PORT:
            self._tell_question(packet, question, datagram.source_port, UDP)
            back = Datagram(source_port=PORT, target_port=datagram.source_port, payload=self._names.answer(question))
            return [packets.udp_answer(packet, back)]
        said = f"asks for the name {question.name}" if question is not None else ""
        self._told(self._attempt(SEND, packet, datagram.source_port, datagram.target_port, said=said))
        return [] if packet.target.is_multicast else [packets.port_unreachable(packet)]

    def _tell_question(self, packet: Packet, question: Question, source_port: int, protocol: int) -> None:
        """A name of this machine is nobody's attempt, if it is asked of our resolver and not of one in the world."""
        is_ours = packet.target == RESOLVER_IPV4
        if is_ours and self._names.is_local(question.name):
            return
        transport = _TRANSPORTS[protocol]
        if not is_ours:
            said = f"asks for the name {question.name}"
            self._told(self._attempt(SEND, packet, source_port, PORT, said=said, transport=transport))
            return
        found = self._attempt(RESOLVE, packet, source_port, PORT, transport=transport)
        self._told(replace(found, host=question.name, address=None, port=None))

    def _segment(self, packet: Packet, segment: Segment) -> list[bytes]:
        key = (packet.source, segment.source_port, packet.target, segment.target_port)
        known = self._open.get(key)
        if segment.flags & (SYN | ACK | RST) == SYN:
            return self._begin(key, packet, segment)
        if segment.flags & RST:
            if known is not None:
                self._end(key)
            return []
        if known is None:
            return [_reset(packet, segment)]
        known.asked, known.deadline = packet, self._clock() + MAX_SILENCE_S
        if segment.sequence == known.expected:
            known.heard += segment.payload[: MAX_BYTES - len(known.heard)]
            known.expected = (known.expected + len(segment.payload)) % _FIRST_BYTES
            if segment.flags & FIN:
                return [self._end(key)]
        return self._go_on(key, known) if segment.payload else []

    def _begin(self, key: Key, packet: Packet, segment: Segment) -> list[bytes]:
        known = self._open.get(key)
        if known is not None and known.opening.sequence == segment.sequence:
            return [_accept(known)]  # it was sent again
        if known is not None:
            self._end(key)
        attempt = self._attempt(CONNECT, packet, segment.source_port, segment.target_port)
        if len(self._open) >= MAX_OPEN:
            self._told(replace(attempt, said=f"not listened to: {MAX_OPEN} others were being"))
            return [_reset(packet, segment)]
        first = self._chance.randrange(_FIRST_BYTES)
        self._open[key] = _Connection(
            attempt=attempt,
            asked=packet,
            opening=segment,
            sent=(first + 1) % _FIRST_BYTES,
            expected=(segment.sequence + 1) % _FIRST_BYTES,
            deadline=self._clock() + MAX_SILENCE_S,
        )
        return [_accept(self._open[key])]

    def _go_on(self, key: Key, known: _Connection) -> list[bytes]:
        """What is sent once more bytes have come: the end where all was heard, else a receipt and what is asked for."""
        heard = self._hear(key, known)
        if heard.is_all or len(known.heard) >= MAX_BYTES:
            return [*([_speak(known, heard.reply)] if heard.reply else []), self._end(key, heard)]
        del known.heard[: heard.used]
        return [_speak(known, heard.reply)]

    def _hear(self, key: Key, known: _Connection) -> Heard:
        content = bytes(known.heard)
        if key[3] != PORT:
            return listen(content)
        question = read_question(content[2:]) if len(content) >= 2 + int.from_bytes(content[:2]) else None
        if question is None:
            return Heard()
        answer = self._names.answer(question)
        return Heard(
            said=f"asks for the name {question.name}",
            name=question.name,
            reply=len(answer).to_bytes(2) + answer,
            is_all=True,
        )

    def _end(self, key: Key, heard: Heard | None = None) -> bytes:
        """The frame that hangs up. Effects: the attempt is told."""
        known = self._open.pop(key)
        if heard is None:
            heard = self._hear(key, known)
        nothing = f"{len(known.heard)} bytes, not all of a greeting" if known.heard else "nothing"
        attempt = replace(known.attempt, said=heard.said or nothing)
        if attempt.host == attempt.address and heard.name is not None:
            attempt = replace(attempt, host=heard.name)
        if (key[2], key[3]) == (RESOLVER_IPV4, PORT) and heard.name is not None:
            attempt = replace(attempt, what=RESOLVE, host=heard.name, address=None, port=None, said="")
        if attempt.what != RESOLVE or not self._names.is_local(attempt.host):
            self._told(attempt)
        end = replace(_next(known), flags=RST | ACK)
        return packets.tcp_answer(known.asked, end)

    def _attempt(
        self,
        what: str,
        packet: Packet,
        source_port: int | None,
        target_port: int | None,
        *,
        said: str = "",
        transport: str | None = None,
    ) -> Attempt:
        here, there = (packet.source, source_port or 0), (packet.target, target_port or 0)
        return Attempt(
            at_ns=self._now_ns(),
            what=what,
            host=self._names.name_of(packet.target) or str(packet.target),
            address=str(packet.target),
            port=target_port,
            transport=transport or _TRANSPORTS[packet.protocol],
            said=said,
            owner=self._find_owner(packet.protocol, here, there) if source_port is not None else None,
        )


_TRANSPORTS = {TCP: "tcp", UDP: "udp", packets.ICMP: "icmp", packets.ICMP6: "icmp6"}


def _next(known: _Connection) -> Segment:
    """An empty segment at the place where the connection is."""
    return Segment(
        source_port=known.opening.target_port,
        target_port=known.opening.source_port,
        sequence=known.sent,
        acknowledged=known.expected,
        flags=ACK,
        payload=b"",
    )


def _accept(known: _Connection) -> bytes:
    first = (known.sent - 1) % _FIRST_BYTES
    return packets.tcp_answer(known.asked, replace(_next(known), sequence=first, flags=SYN | ACK))


def _speak(known: _Connection, reply: bytes) -> bytes:
    """The frame of a receipt for all that has come, with `reply`. Effects: our place moves behind it."""
    frame = packets.tcp_answer(known.asked, replace(_next(known), payload=reply))
    known.sent = (known.sent + len(reply)) % _FIRST_BYTES
    return frame


def _reset(packet: Packet, segment: Segment) -> bytes:
    """The refusal of a segment that belongs to no connection. Source: RFC 9293 §3.5.2."""
    length = len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & FIN)
    has_place = bool(segment.flags & ACK)
    refusal = Segment(
        source_port=segment.target_port,
        target_port=segment.source_port,
        sequence=segment.acknowledged if has_place else 0,
        acknowledged=0 if has_place else (segment.sequence + length) % _FIRST_BYTES,
        flags=RST if has_place else RST | ACK,
        payload=b"",
    )
    return packets.tcp_answer(packet, refusal)
