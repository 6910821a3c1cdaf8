"""What a world tells those who subscribed: typed events, in the order in which things happened.

A subscriber is called at once, in the thread that changed the world, and before the answer is given: it sees orders and
balances as they are at that moment, must copy what it wants to keep, and must not change the world. Streams and user
data are built on this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from sim.exchange.ledger import Account
from sim.exchange.order import Fill, Order, Prevention, Trade


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanged:
    """`execution` is the API's execution type: NEW, CANCELED, TRADE, EXPIRED, TRADE_PREVENTION, REJECTED.

    `fill` is there for a TRADE, `prevention` for a TRADE_PREVENTION. `client_order_id` is that of the request that
    caused it: for a CANCELED that of the cancel.
    """

    account: Account
    order: Order
    execution: str
    execution_id: int
    time_us: int
    client_order_id: str
    fill: Fill | None = None
    prevention: Prevention | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancesChanged:
    """The balances of these assets moved by an order or a trade."""

    account: Account
    assets: tuple[str, ...]
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited:
    """A balance was changed from outside: a deposit, or a withdrawal where `amount` is negative."""

    account: Account
    asset: str
    amount: Decimal
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """A new line on a symbol's tape."""

    symbol: str
    trade: Trade


@dataclass(frozen=True, slots=True, kw_only=True)
class BookMoved:
    """Something that can be seen in the book of the symbol changed, and the step that changed it is done."""

    symbol: str
    update_id: int
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenKeyEnded:
    """A listen key was closed or ran out."""

    listen_key: str
    account: str
    expired: bool
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A connection hears that stream from now on. `account` is whose events they are; empty for a market's."""

    stream: str
    account: str
    address: str
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldWiped:
    """The monthly reset: orders and trades are gone, balances are as they were at the start, keys go on."""

    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerShutsDown:
    """The server is about to shut down: connections are told, and end soon."""

    time_us: int


Event = (
    OrderChanged
    | BalancesChanged
    | Deposited
    | Traded
    | BookMoved
    | ListenKeyEnded
    | Subscribed
    | WorldWiped
    | ServerShutsDown
)
Subscriber = Callable[[Event], None]


class Events:
    """The subscribers of a world."""

    def __init__(self) -> None:
        # Where it is empty nobody listens, and nobody need make an event.
        self.subscribers: list[Subscriber] = []

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return bool(self.subscribers)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Calls `subscriber` with every event from now on; the function returned ends that."""
        self.subscribers.append(subscriber)

        def end() -> None:
            if subscriber in self.subscribers:
                self.subscribers.remove(subscriber)

        return end

    def emit(self, event: Event) -> None:
        for subscriber in tuple(self.subscribers):
            subscriber(event)
