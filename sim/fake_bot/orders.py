"""The bot's orders on its exchange, as its portfolio keeps them: what was intended, and what has come of it so far.

An order stands here from before it is sent until all that came of it is in the portfolio; what is not here is settled.
Each is sent at most once, under an id that no other order of the bot has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final

import msgspec

from sim.fake_bot.json_file import decimal_of, decimal_text

FINAL: Final = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"})
"""The statuses of an order of which nothing more will come."""


class Side(StrEnum):
    """Which way a trade goes, seen from the portfolio."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """What the bot sends: at the market's price, or at its own price until it is filled or cancelled."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order in flight. `price` is of a LIMIT; amounts are of the base and the quote asset.

    `sent_ms` is the timestamp that its request carries, by the exchange's clock; `order_id` is None while nobody knows
    whether the exchange took it. `trades` are the ids of the trades that the portfolio holds, `executed` their sum, and
    `final` how much will have been traded in all, once the exchange has said so.
    """

    client_order_id: str
    asset: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    cycle: int
    sent_ms: int
    order_id: int | None = None
    trades: tuple[int, ...] = ()
    executed: Decimal = Decimal(0)
    final: Decimal | None = None

    @property
    def is_unknown(self) -> bool:
        """True while nobody knows whether the exchange took it."""
        return self.order_id is None

    @property
    def is_settled(self) -> bool:
        """True once nothing more will come of it and the portfolio holds all that came."""
        return self.final is not None and self.executed == self.final


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """An order that the exchange is known to have: where it is gone, so is everything else there."""

    symbol: str
    order_id: int
    client_order_id: str
    sent_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealings:
    """All that the portfolio keeps of the exchange. The ids of its orders are the series and a number.

    `uid` is the exchange's number of the account.
    """

    series: str
    uid: int
    next_number: int = 1
    anchor: Anchor | None = None
    orders: Mapping[str, Order] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def next_client_order_id(self) -> str:
        """The id of the next order."""
        return f"{self.series}-{self.next_number}"

    @property
    def has_unknown(self) -> bool:
        """True while nobody knows whether the exchange took some order."""
        return any(order.is_unknown for order in self.orders.values())

    def with_intent(self, order: Order) -> "Dealings":
        """After `order`, which has the next id, was intended."""
        return replace(self._with(order), next_number=self.next_number + 1)

    def with_news(self, order: Order) -> "Dealings":
        """After something was learnt of an order in flight; a settled one is in flight no more."""
        found = self.without(order.client_order_id) if order.is_settled else self._with(order)
        if found.anchor is None and order.order_id is not None:
            anchor = Anchor(
                symbol=order.symbol,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                sent_ms=order.sent_ms,
            )
            return replace(found, anchor=anchor)
        return found

    def without(self, client_order_id: str) -> "Dealings":
        """After it is known that nothing (more) comes of that order."""
        left = {name: order for name, order in self.orders.items() if name != client_order_id}
        return replace(self, orders=MappingProxyType(left))

    def _with(self, order: Order) -> "Dealings":
        return replace(self, orders=MappingProxyType({**self.orders, order.client_order_id: order}))


def dealings_document(dealings: Dealings) -> dict[str, Any]:
    """The portfolio's member `exchange`.

    Shape: `{"series", "uid", "next_number", "anchor": {"symbol", "order_id", "client_order_id", "sent_ms"}, "orders":
    {id: {"asset", "symbol", "side", "type", "quantity", "price", "cycle", "sent_ms", "order_id", "trades", "executed",
    "final"}}}`; what is not known is left out.
    """
    anchor = dealings.anchor
    told = (
        None
        if anchor is None
        else {
            "symbol": anchor.symbol,
            "order_id": anchor.order_id,
            "client_order_id": anchor.client_order_id,
            "sent_ms": anchor.sent_ms,
        }
    )
    return {
        "series": dealings.series,
        "uid": dealings.uid,
        "next_number": dealings.next_number,
        **({} if told is None else {"anchor": told}),
        "orders": {name: _order_document(order) for name, order in dealings.orders.items()},
    }


def _order_document(order: Order) -> dict[str, Any]:
    return {
        "asset": order.asset,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.type.value,
        "quantity": decimal_text(order.quantity),
        **({} if order.price is None else {"price": decimal_text(order.price)}),
        "cycle": order.cycle,
        "sent_ms": order.sent_ms,
        **({} if order.order_id is None else {"order_id": order.order_id}),
        "trades": list(order.trades),
        "executed": decimal_text(order.executed),
        **({} if order.final is None else {"final": decimal_text(order.final)}),
    }


Whole = Annotated[int, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=36)]


class _OrderFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    asset: Name
    symbol: Name
    side: Side
    type: OrderType
    quantity: str
    cycle: Whole
    sent_ms: Whole
    trades: tuple[Whole, ...]
    executed: str
    price: str | None = None
    order_id: Whole | None = None
    final: str | None = None


class _AnchorFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    symbol: Name
    order_id: Whole
    client_order_id: Name
    sent_ms: Whole


class DealingsFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The portfolio's member `exchange`, as it was decoded."""

    series: Name
    uid: Whole
    next_number: Whole
    orders: dict[Name, _OrderFile]
    anchor: _AnchorFile | None = None


def dealings_of(found: DealingsFile) -> Dealings:
    """What was read. Raises: `ValueError` for an amount that is no plain decimal, naming its order."""
    orders: dict[str, Order] = {}
    for name, each in found.orders.items():
        try:
            orders[name] = Order(
                client_order_id=name,
                asset=each.asset,
                symbol=each.symbol,
                side=each.side,
                type=each.type,
                quantity=decimal_of(each.quantity),
                price=None if each.price is None else decimal_of(each.price),
                cycle=each.cycle,
                sent_ms=each.sent_ms,
                order_id=each.order_id,
                trades=each.trades,
                executed=decimal_of(each.executed),
                final=None if each.final is None else decimal_of(each.final),
            )
        except ValueError as error:
            raise ValueError(f"{error}, in exchange.orders.{name}") from error
    anchor = found.anchor
    return Dealings(
        series=found.series,
        uid=found.uid,
        next_number=found.next_number,
        anchor=None
        if anchor is None
        else Anchor(
            symbol=anchor.symbol,
            order_id=anchor.order_id,
            client_order_id=anchor.client_order_id,
            sent_ms=anchor.sent_ms,
        ),
        orders=MappingProxyType(orders),
    )
