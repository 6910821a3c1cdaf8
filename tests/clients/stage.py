"""`Stage`: one world on loopback, an account in it, and one surface of one client that acts for the account."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeVar

from sim.exchange.clock import Clock
from sim.exchange.events import BalancesChanged, Event, OrderChanged, Subscribed
from sim.exchange.keys import ApiKey
from sim.exchange.operations import operations
from sim.exchange.order import Order
from sim.exchange.request_log import LogEntry
from sim.exchange.skins.threads import ServedWorld, served
from sim.exchange.world import World
from tests.clients.dialect import SYMBOL, Dialect
from tests.clients.events_seen import ReportSeen
from tests.clients.process import DEADLINE_S
from tests.clients.seen import Balances, FillSeen, OrderSeen
from tests.sim.exchange.trader import NOW_US, RICH, SECRET, api_key, levels

Result = TypeVar("Result")

ACCOUNT: Final = "alice"
KEY: Final = api_key("a")


def quoted_world(*, stands: bool) -> World:
    """BTCUSDT with three levels on either side of 100.00, and nothing that moves by itself.

    A clock that stands makes every time known; one that runs is what signed requests of an unmodified client need.
    """
    world = World(
        clock=Clock.standing_at(NOW_US) if stands else Clock(),
        seed=7,
        moving=False,
        prices={SYMBOL: Decimal("100.00")},
    )
    world.open_account(ACCOUNT, key=ApiKey(api_key=KEY, account=ACCOUNT, secret=SECRET), balances=RICH)
    world.set_book(
        SYMBOL,
        levels(("99.99", "1"), ("99.98", "2"), ("99.90", "5")),
        levels(("100.01", "1"), ("100.02", "2"), ("100.10", "5")),
    )
    return world


@dataclass
class Stage:
    """`client` acts by its own means; `running` is touched by `call` alone."""

    client: Dialect
    running: ServedWorld
    # How many requests came before the client was ready, and what it has subscribed to since the world began.
    before: int = 0
    streams: list[str] = field(default_factory=list)
    # What the exchange told of the account: execution reports, and balances by asset.
    told: list[ReportSeen | Balances] = field(default_factory=list)
    _subscribed: threading.Condition = field(default_factory=threading.Condition)

    def open(self, *, secret: str = SECRET, key: str = KEY) -> None:
        """A new client, pointed at the world."""
        self.client.open(self.running.api.url, api_key=key, secret=secret)
        self.before = self.world(lambda world: world.requests.total)

    def world(self, function: Callable[[World], Result]) -> Result:
        """What the function returns, run between two requests."""
        return self.running.call(function)

    def held(self, order_id: int) -> OrderSeen:
        """The order as the exchange holds it."""
        return OrderSeen.held(self.world(lambda world: world.order(SYMBOL, order_id)))

    def orders(self) -> list[OrderSeen]:
        """All orders of the account, as the exchange holds them."""
        return [OrderSeen.held(order) for order in self._orders()]

    def fills(self) -> list[FillSeen]:
        """All trades of the account, likewise."""
        return self.world(lambda world: [FillSeen.held(fill) for fill in world.account(ACCOUNT).fills.get(SYMBOL, [])])

    def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        """Free and locked."""
        found = self.world(lambda world: world.account(ACCOUNT).balances[asset])
        return found.free, found.locked

    def log(self) -> list[LogEntry]:
        """What the client asked since it was ready."""
        return self.world(lambda world: world.requests.since(self.before))

    def asked(self) -> set[str]:
        """The operations that it asked for, by their names in the table."""
        return {operation_of(each) for each in self.log()}

    def await_stream(self, name: str) -> None:
        """Waits until the client hears that stream. Raises TimeoutError."""
        with self._subscribed:
            if not self._subscribed.wait_for(lambda: name in self.streams, DEADLINE_S):
                raise TimeoutError(f"expected a subscription to {name} within {DEADLINE_S} s, found {self.streams}")

    def hear(self, event: Event) -> None:
        """Keeps what connections subscribe to, and what happens to the account, as it is at that moment."""
        if isinstance(event, OrderChanged):
            self.told.append(ReportSeen.held(event))
        elif isinstance(event, BalancesChanged):
            held = event.account.balances
            self.told.append({asset: (held[asset].free, held[asset].locked) for asset in event.assets})
        elif isinstance(event, Subscribed):
            with self._subscribed:
                self.streams.append(event.stream)
                self._subscribed.notify_all()

    def _orders(self) -> list[Order]:
        return self.world(lambda world: list(world.account(ACCOUNT).orders.get(SYMBOL, {}).values()))


@contextmanager
def staged(client: Dialect, *, stands: bool) -> Iterator[Stage]:
    """The stage, its client ready; afterwards the ledger must add up and nobody may have asked for another host."""
    world = quoted_world(stands=stands)
    with served(world) as running:
        stage = Stage(client, running)
        stage.world(lambda world: world.subscribe(stage.hear))
        stage.open()
        yield stage
        assert stage.world(_breaches) == []
        assert stage.world(lambda world: world.refused_hosts) == []


def operation_of(entry: LogEntry) -> str:
    """Its name in the table; what only a connection can ask has no other than its method."""
    return entry.path if entry.method == "WS" else operations()[entry.method, entry.path].name


def _breaches(world: World) -> Any:
    return world.breaches()
