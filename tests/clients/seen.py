"""What a client shows of the exchange, whatever it calls it: the values that every test compares."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sim.exchange.order import Fill, Order

Level = tuple[Decimal, Decimal]
"""Price and quantity."""


def number(given: object) -> Decimal:
    """The amount that a client gave as text or as a float."""
    return Decimal(str(given))


def numbers(given: Sequence[Any]) -> tuple[Decimal, ...]:
    return tuple(number(each) for each in given)


def levels(given: Sequence[Sequence[Any]]) -> list[Level]:
    """Levels of a book."""
    return [(number(each[0]), number(each[1])) for each in given]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSeen:
    """An order. `status` is the exchange's word."""

    order_id: int
    client_order_id: str
    side: str
    type: str
    status: str
    price: Decimal
    quantity: Decimal
    executed: Decimal
    quote_executed: Decimal

    @classmethod
    def held(cls, order: Order) -> "OrderSeen":
        """As the exchange holds it."""
        return cls(
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            side=order.side,
            type=order.type,
            status=order.status,
            price=order.price,
            quantity=order.quantity,
            executed=order.executed,
            quote_executed=order.quote_executed,
        )

    @classmethod
    def raw(cls, given: Any) -> "OrderSeen":
        """As the API tells it."""
        return cls(
            order_id=int(given["orderId"]),
            client_order_id=given["clientOrderId"],
            side=given["side"],
            type=given["type"],
            status=given["status"],
            price=number(given["price"]),
            quantity=number(given["origQty"]),
            executed=number(given["executedQty"]),
            quote_executed=number(given["cummulativeQuoteQty"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FillSeen:
    """A trade of one's own."""

    trade_id: int
    order_id: int
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    is_maker: bool

    @classmethod
    def held(cls, fill: Fill) -> "FillSeen":
        return cls(
            trade_id=fill.trade_id,
            order_id=fill.order_id,
            price=fill.price,
            quantity=fill.quantity,
            commission=fill.commission,
            commission_asset=fill.commission_asset,
            is_maker=fill.is_maker,
        )

    @classmethod
    def raw(cls, given: Any) -> "FillSeen":
        return cls(
            trade_id=int(given["id"]),
            order_id=int(given["orderId"]),
            price=number(given["price"]),
            quantity=number(given["qty"]),
            commission=number(given["commission"]),
            commission_asset=given["commissionAsset"],
            is_maker=given["isMaker"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeSeen:
    """A line of the tape, or of trades taken together. `buyer_made`: whether the seller took."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    buyer_made: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesSeen:
    """The rules of one symbol."""

    tick: Decimal
    step: Decimal
    min_notional: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotesSeen:
    """The best bid and ask."""

    bid: Level
    ask: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySeen:
    """What happened in 24 hours."""

    last: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal


Balances = dict[str, tuple[Decimal, Decimal]]
"""Free and locked, by asset."""
Candle = tuple[Decimal, ...]
"""Open time in ms, open, high, low, close, volume."""
