"""An order as the engine holds it, the request that made it, and what each fill of it was."""

from decimal import Decimal

import msgspec

from sim.exchange.amounts import ZERO

STOP_TYPES = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
MARKET_TYPES = frozenset({"MARKET", "STOP_LOSS", "TAKE_PROFIT"})
OPEN_STATUSES = frozenset({"NEW", "PARTIALLY_FILLED"})


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a client asks for, read and checked. Quantities in the base asset, prices in the quote asset."""

    symbol: str
    side: str
    type: str
    time_in_force: str = "GTC"
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    client_order_id: str | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None
    stop_price: Decimal | None = None
    trailing_delta: int | None = None
    iceberg_quantity: Decimal | None = None
    stp_mode: str | None = None
    response: str | None = None

    @property
    def is_stop(self) -> bool:
        return self.type in STOP_TYPES


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order's side of a trade."""

    trade_id: int
    symbol: str
    order_id: int
    is_buy: bool
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    commission: Decimal
    commission_asset: str
    time_us: int
    is_maker: bool


class Order(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """An order that was accepted. Times in microseconds; -1 where something has not happened yet.

    Nothing that it holds leads back to it, so the garbage collector need not look through the orders of a long run.
    """

    symbol: str
    account: str
    order_id: int
    client_order_id: str
    side: str
    type: str
    time_in_force: str
    quantity: Decimal
    quote_quantity: Decimal
    price: Decimal
    stop_price: Decimal
    trailing_delta: int | None
    iceberg_quantity: Decimal | None
    strategy_id: int | None
    strategy_type: int | None
    stp_mode: str
    time_us: int
    update_us: int
    working_us: int = -1
    status: str = "NEW"
    executed: Decimal = ZERO
    quote_executed: Decimal = ZERO
    expiry_reason: str | None = None
    prevented_quantity: Decimal = ZERO
    prevented_match_id: int | None = None
    # Funds set aside, in the quote asset for a BUY and the base asset for a SELL.
    locked: Decimal = ZERO
    # What an iceberg shows at the moment, and its place in the queue of its price.
    shown: Decimal = ZERO
    queue_place: int = 0
    # A trailing stop: since when it follows the price, and the best price since.
    trailing_us: int = -1
    best_price: Decimal | None = None
    fills: list[Fill] = msgspec.field(default_factory=list)

    @property
    def is_buy(self) -> bool:
        return self.side == "BUY"

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def is_stop(self) -> bool:
        return self.type in STOP_TYPES

    @property
    def is_working(self) -> bool:
        """Whether it is, or was, in the book: all but stops that were not triggered."""
        return self.working_us >= 0

    @property
    def remaining(self) -> Decimal:
        """What may still trade: neither executed nor prevented."""
        return self.quantity - self.executed - self.prevented_quantity

    @property
    def executes_at_market(self) -> bool:
        return self.type in MARKET_TYPES


class Prevention(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order's side of a trade of an account with itself that was prevented."""

    match_id: int
    quantity: Decimal
    counter_order_id: int


class Trade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line of a symbol's tape, who traded left out."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    time_us: int
    is_buyer_maker: bool
    # Trades of one taking order at one time and price are one aggregate.
    taker: int
