"""`Session`: one WebSocket connection without its socket. Text and pongs go in, frames come out.

    session = open_session(world, "/ws/btcusdt@trade")
    session.receive(text)
    session.tick()
    frames = session.take()

A session hears the world's events as they happen, and keeps time by the world's clock when it is ticked. Whoever serves
it calls it from the world's thread, and ends it when the client has gone.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import msgspec

from sim.exchange.amounts import exact
from sim.exchange.clock import MS, SECOND
from sim.exchange.events import Event, ServerShutsDown, Subscribed, WorldWiped
from sim.exchange.stream_faults import EVENT_KINDS, PING_KINDS, PING_STREAM, StreamFault, StreamFaultKind
from sim.exchange.streams.frames import Abort, Close, Frame, Ping, Text
from sim.exchange.tables import table
from sim.exchange.world import World

_encode = msgspec.json.Encoder().encode


@cache
def connection_rules() -> dict[str, int]:
    """As the table says."""
    rules: dict[str, int] = table("streams.toml")["connection"]
    return rules


def encoded(payload: Any) -> str:
    """The payload as compact JSON."""
    return _encode(payload).decode()


class Session(ABC):
    """What all connections have in common: pings, age, the rate of messages, faults, and the frames that wait.

    `wake` is called whenever there may be something to take. Once `is_over`, nothing more comes.
    """

    # How many messages may come in a second; 0 for any number.
    messages_per_s: int = 0

    def __init__(self, world: World, *, address: str, in_microseconds: bool) -> None:
        self.world = world
        self.address = address
        self.in_microseconds = in_microseconds
        self.wake: Callable[[], None] = lambda: None
        self.is_over = False
        self._frames: deque[Frame] = deque()
        self._held: list[str] = []
        self._silent = False
        now_us = world.clock.now_us()
        self.opened_us = self._ticked_us = now_us
        self._next_ping_us = now_us + self._rule_us("ping_every_s")
        # Pings without a pong, oldest first: payload, and since when an answer is waited for.
        self._unanswered: list[tuple[bytes, int]] = []
        self._received_us: deque[int] = deque()
        self._stop_hearing = world.subscribe(self._hear)

    def time(self, time_us: int) -> int:
        """A time as it is sent: milliseconds, or microseconds where the URL asked for them; -1 stays -1."""
        return time_us if self.in_microseconds or time_us < 0 else time_us // MS

    def receive(self, text: str) -> None:
        """A text frame has come."""
        if self._counted():
            self._receive(text)
            self.wake()

    def receive_ping(self) -> None:
        """A ping frame has come; the transport answers it."""
        self._counted()

    def receive_pong(self, payload: bytes) -> None:
        """A pong frame has come. It answers the ping with that payload and those before; else it changes nothing."""
        if not self._counted():
            return
        payloads = [sent for sent, _ in self._unanswered]
        if payload in payloads:
            del self._unanswered[: payloads.index(payload) + 1]

    def tick(self) -> None:
        """Lets the world catch up with its clock, and then this connection: due events, pings, its end."""
        if self.is_over:
            return
        with exact():
            self.world.catch_up()
            self._pass_time(self.world.clock.now_us())
        self._keep_alive(self.world.clock.now_us())
        self.wake()

    def take(self) -> list[Frame]:
        """The frames to send now, in order; a Close or Abort is the last there is."""
        with exact():
            self._settle()
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def end(self) -> None:
        """The client has gone, or nothing more shall be sent."""
        self.is_over = True
        self._stop_hearing()

    def close(self, why: str) -> None:
        """Sends the close frame that the table gives for that reason."""
        rule = table("streams.toml")["close"][why]
        self._finish(Close(rule["code"], rule["reason"]))

    def _tell_subscribed(self, stream: str, account: str) -> None:
        """Tells those who watch the world that this connection hears the stream."""
        now_us = self.world.now_us()
        self.world.events.emit(Subscribed(stream=stream, account=account, address=self.address, time_us=now_us))

    @abstractmethod
    def _receive(self, text: str) -> None:
        """The client has sent a text."""

    @abstractmethod
    def _hear_event(self, event: Event) -> None:
        """An event of the world."""

    def _pass_time(self, now_us: int) -> None:  # noqa: B027 - one kind has nothing due
        """Sends what is due by then."""

    def _settle(self) -> None:  # noqa: B027 - one kind waits for nothing
        """Sends what waited for the end of the exchange's step."""

    def _shutdown_text(self, payload: dict[str, Any]) -> str:
        return encoded(payload)

    def _send(self, text: str) -> None:
        """Sends an answer, which no fault of streams meets."""
        if self.is_over:
            return
        if len(self._frames) >= connection_rules()["max_waiting"]:
            self.close("too_slow")
            return
        self._frames.append(Text(text))

    def _send_event(self, stream: str, text: str, account: str = "") -> None:
        """Sends an event, as far as the faults let it."""
        if self._silent or self.is_over:
            return
        fault = self.world.stream_faults.take(stream, account, EVENT_KINDS)
        if fault is None or fault.kind == StreamFaultKind.DUPLICATE:
            self._send(text)
            if fault is not None:
                self._send(text)
            held, self._held = self._held, []
            for late in held:
                self._send(late)
        elif fault.kind == StreamFaultKind.REORDER:
            self._held.append(text)
        elif fault.kind == StreamFaultKind.SILENCE:
            self._silent = True
        else:
            self._break(fault)

    def _break(self, fault: StreamFault) -> None:
        if fault.kind == StreamFaultKind.CLOSE:
            self._finish(Close(fault.code, fault.reason))
        elif fault.kind == StreamFaultKind.CUT:
            self._finish(Abort())

    def _finish(self, last: Close | Abort) -> None:
        if not self.is_over:
            self._frames.append(last)
            self.end()
            self.wake()

    def _hear(self, event: Event) -> None:
        # Who else listens is nobody's news.
        if self.is_over or isinstance(event, Subscribed):
            return
        if isinstance(event, WorldWiped):
            self.close("wiped")
        elif isinstance(event, ServerShutsDown):
            self._send(self._shutdown_text({"e": "serverShutdown", "E": self.time(event.time_us)}))
        else:
            with exact():
                self._hear_event(event)
        self.wake()

    def _counted(self) -> bool:
        """Counts a message; whether the connection bears it. A clock that stands has no seconds to count by."""
        if self.is_over:
            return False
        now_us = self.world.clock.now_us()
        if not self.messages_per_s or self.world.clock.stands:
            return True
        while self._received_us and now_us - self._received_us[0] >= SECOND:
            self._received_us.popleft()
        self._received_us.append(now_us)
        if len(self._received_us) > self.messages_per_s:
            self.close("too_many_messages")
        return not self.is_over

    def _keep_alive(self, now_us: int) -> None:
        if now_us - self.opened_us >= self._rule_us("valid_s"):
            self.close("too_old")
            return
        # A clock that jumped further than from ping to ping left nobody the time to answer.
        if now_us - self._ticked_us > self._rule_us("ping_every_s"):
            self._unanswered = [(payload, now_us) for payload, _ in self._unanswered]
        self._ticked_us = now_us
        if self._unanswered and now_us - self._unanswered[0][1] >= self._rule_us("pong_within_s"):
            self.close("no_pong")
        elif now_us >= self._next_ping_us:
            self._next_ping_us = now_us + self._rule_us("ping_every_s")
            self._ping(now_us)

    def _ping(self, now_us: int) -> None:
        fault = self.world.stream_faults.take(PING_STREAM, "", PING_KINDS)
        if fault is None:
            payload = str(now_us // MS).encode()
            self._unanswered.append((payload, now_us))
            self._frames.append(Ping(payload))
        else:
            self._break(fault)

    @staticmethod
    def _rule_us(name: str) -> int:
        return connection_rules()[name] * SECOND


COMBINED_SHUTDOWN: Final = "!serverShutdown"
