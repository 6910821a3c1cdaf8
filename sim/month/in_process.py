"""The double in the bot's own process: requests and streams without a socket, and a kill between any two of them."""

from collections import deque
from datetime import UTC, datetime

import httpx

from sim.exchange.refusals import ApiError
from sim.exchange.skins.in_process import responder
from sim.exchange.streams.connections import open_session
from sim.exchange.streams.frames import Ping, Text
from sim.exchange.streams.session import Session
from sim.exchange.world import World
from sim.fake_bot.exchange_sockets import SocketLost
from sim.fake_bot.heartbeats import Heartbeat
from sim.guard import client_settings

HOST = "https://testnet.binance.vision"


class BotKilled(BaseException):
    """The bot ends here and now: nothing that it would still do is done."""


class KillingTransport(httpx.BaseTransport):
    """Hands requests to a world. `kill_in` counts down; at zero the bot dies, before the request or `after_it`."""

    def __init__(self, world: World) -> None:
        self._respond = responder(world)
        self.kill_in: int | None = None
        self.after_it = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The response. Raises: what httpx raises, and `BotKilled`."""
        dies = self._counted_down()
        if dies and not self.after_it:
            raise BotKilled
        try:
            return self._respond(request)
        finally:
            if dies:
                raise BotKilled

    def _counted_down(self) -> bool:
        if self.kill_in is None:
            return False
        self.kill_in -= 1
        if self.kill_in >= 0:
            return False
        self.kill_in = None
        return True


def open_client(transport: KillingTransport) -> httpx.Client:
    """A client with the guard's settings, for the testnet's own name, that reaches nothing but the world."""
    return httpx.Client(base_url=HOST, transport=transport, **client_settings.settings())


class SessionSocket:
    """A stream of a world as the bot reads it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._texts: deque[str] = deque()

    def send(self, text: str) -> None:
        """See `Socket`."""
        if self._session.is_over:
            raise SocketLost("it has ended")
        self._session.tick()
        self._session.receive(text)

    def receive(self) -> str:
        """See `Socket`; what is not there yet never comes."""
        if not self._texts:
            self._take()
        if not self._texts:
            raise SocketLost("nothing came")
        return self._texts.popleft()

    def close(self) -> None:
        """See `Socket`."""
        self._session.end()

    def _take(self) -> None:
        for frame in self._session.take():
            if isinstance(frame, Text):
                self._texts.append(frame.text)
            elif isinstance(frame, Ping):
                self._session.receive_pong(frame.payload)


class SessionMaker:
    """Makes streams of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, target: str) -> SessionSocket:
        """See `Connect`."""
        try:
            return SessionSocket(open_session(self._world, target))
        except ApiError as refused:
            raise SocketLost(f"refused with status {refused.status}") from refused


class WorldPulse:
    """The bot's clock and its heartbeats, kept here: a month needs no database."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._beats: list[Heartbeat] = []

    def now(self) -> datetime:
        """See `Pulse`: the clock of the world."""
        return datetime.fromtimestamp(self._world.clock.now_us() // 1_000_000, UTC)

    def beat(self, heartbeat: Heartbeat) -> None:
        """See `Pulse`."""
        self._beats.append(heartbeat)

    def last_cycle(self, *, portfolio_sha256: str) -> int | None:
        """See `Pulse`."""
        cycles = [beat.cycle for beat in self._beats if beat.portfolio_sha256 == portfolio_sha256]
        return max(cycles, default=None)
