"""What an event of a stream tells, in the values that every test compares."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sim.exchange.events import OrderChanged
from tests.clients.dialect_ccxt import quotes_seen, trade_seen
from tests.clients.seen import Candle, DaySeen, Level, QuotesSeen, TradeSeen, levels, number, numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSeen:
    """An execution report: what happened to an order, and how it stands since."""

    order_id: int
    execution: str
    status: str
    executed: Decimal
    last_price: Decimal
    last_quantity: Decimal

    @classmethod
    def held(cls, event: OrderChanged) -> "ReportSeen":
        """At the moment at which the exchange tells it."""
        fill = event.fill
        return cls(
            order_id=event.order.order_id,
            execution=event.execution,
            status=event.order.status,
            executed=event.order.executed,
            last_price=Decimal(0) if fill is None else fill.price,
            last_quantity=Decimal(0) if fill is None else fill.quantity,
        )

    @classmethod
    def raw(cls, given: Any) -> "ReportSeen":
        return cls(
            order_id=int(given["i"]),
            execution=given["x"],
            status=given["X"],
            executed=number(given["z"]),
            last_price=number(given["L"]),
            last_quantity=number(given["l"]),
        )


def raw_trade(event: Any) -> TradeSeen:
    return TradeSeen(
        trade_id=int(event.get("t", event.get("a"))),
        price=number(event["p"]),
        quantity=number(event["q"]),
        buyer_made=event["m"],
    )


def raw_quotes(event: Any) -> QuotesSeen:
    return QuotesSeen(bid=(number(event["b"]), number(event["B"])), ask=(number(event["a"]), number(event["A"])))


def raw_changes(event: Any) -> tuple[list[Level], list[Level]]:
    return levels(event["b"]), levels(event["a"])


def raw_levels(event: Any) -> tuple[list[Level], list[Level]]:
    return levels(event["bids"]), levels(event["asks"])


def raw_candle(event: Any) -> Candle:
    return numbers([event["k"][name] for name in "tohlcv"])


def raw_day(event: Any) -> DaySeen:
    last, high, low, volume = numbers([event[name] for name in "chlv"])
    return DaySeen(last=last, high=high, low=low, volume=volume)


def raw_average(event: Any) -> Decimal:
    return number(event["w"])


def unified_trade(event: Any) -> TradeSeen:
    return trade_seen(event[-1])


def unified_quotes(event: Any) -> QuotesSeen:
    [found] = event.values()
    return quotes_seen(found)


def unified_candle(event: Any) -> Candle:
    return numbers(event[-1])


def unified_day(event: Any) -> DaySeen:
    last, high, low, volume = numbers([event[name] for name in ("last", "high", "low", "baseVolume")])
    return DaySeen(last=last, high=high, low=low, volume=volume)
