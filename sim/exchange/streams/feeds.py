"""Market streams that speak as things happen, and the shape that all streams share.

A feed hears every event of the world after `tick` has let it send what was due before. It keeps what it needs from the
events, so that what it sends late is what was so when it was due.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from sim.exchange.amounts import ZERO, text
from sim.exchange.book import Level
from sim.exchange.clock import SECOND
from sim.exchange.events import BookMoved, Event, Traded
from sim.exchange.market import Market
from sim.exchange.order import Trade
from sim.exchange.order_payloads import Time
from sim.exchange.tape import Aggregate

Push = Callable[[Any], None]
"""Takes the payload of one event."""
NEVER_US: Final = 10**20
NOTHING: Final[Level] = (ZERO, ZERO)

Sides = tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]
"""Bids and asks: quantity by price, best first."""


class Feed(ABC):
    """One stream of one connection."""

    def __init__(self, push: Push, time: Time) -> None:
        self._push = push
        self._time = time

    @abstractmethod
    def hear(self, event: Event, now_us: int) -> None:
        """An event of the world, which happened at `now_us`."""

    def tick(self, now_us: int) -> None:  # noqa: B027 - most have nothing due
        """Sends what was due by then."""

    def settle(self) -> None:  # noqa: B027 - most wait for nothing
        """A step of the exchange is done: sends what waited for its end."""


class TimedFeed(Feed):
    """A stream that speaks at whole multiples of `period_us`, if something changed since it last did."""

    def __init__(self, push: Push, time: Time, period_us: int = SECOND) -> None:
        super().__init__(push, time)
        self._period_us = period_us
        self._due_us = NEVER_US

    def tick(self, now_us: int) -> None:
        if now_us >= self._due_us:
            due_us, self._due_us = self._due_us, NEVER_US
            self._tell(due_us)

    def _changed(self, now_us: int) -> None:
        """Something is to be told at the next multiple of the period."""
        if self._due_us == NEVER_US:
            self._due_us = (now_us // self._period_us + 1) * self._period_us

    @abstractmethod
    def _tell(self, due_us: int) -> None:
        """Sends what is to be told at that moment."""


class TradeFeed(Feed):
    """`<symbol>@trade`."""

    def __init__(self, push: Push, time: Time, market: Market) -> None:
        super().__init__(push, time)
        self._symbol = market.symbol

    def hear(self, event: Event, now_us: int) -> None:
        if isinstance(event, Traded) and event.symbol == self._symbol:
            self._push(self._told(event.trade, now_us))

    def _told(self, trade: Trade, now_us: int) -> dict[str, Any]:
        return {
            "e": "trade",
            "E": self._time(now_us),
            "s": self._symbol,
            "t": trade.trade_id,
            "p": text(trade.price),
            "q": text(trade.quantity),
            "T": self._time(trade.time_us),
            "m": trade.is_buyer_maker,
            "M": True,
        }


class AggregateTradeFeed(Feed):
    """`<symbol>@aggTrade`: an aggregate is told once nothing can join it any more."""

    def __init__(self, push: Push, time: Time, market: Market) -> None:
        super().__init__(push, time)
        self._market = market
        self._next = len(market.tape.aggregates())

    def hear(self, event: Event, now_us: int) -> None:
        if isinstance(event, Traded) and event.symbol == self._market.symbol:
            self._tell(but=1)

    def settle(self) -> None:
        self._tell(but=0)

    def _tell(self, *, but: int) -> None:
        """Tells the aggregates that were not told, but for the last ones."""
        aggregates = self._market.tape.aggregates()
        while self._next < len(aggregates) - but:
            self._push(self._told(aggregates[self._next]))
            self._next += 1

    def _told(self, each: Aggregate) -> dict[str, Any]:
        return {
            "e": "aggTrade",
            "E": self._time(each.time_us),
            "s": self._market.symbol,
            "a": each.aggregate_id,
            "p": text(each.price),
            "q": text(each.quantity),
            "f": each.first_id,
            "l": each.last_id,
            "T": self._time(each.time_us),
            "m": each.is_buyer_maker,
            "M": True,
        }


class BookTickerFeed(Feed):
    """`<symbol>@bookTicker`: the best price of each side, whenever a price or a quantity there changes."""

    def __init__(self, push: Push, time: Time, market: Market) -> None:
        super().__init__(push, time)
        self._market = market
        self._told = best_levels(market)

    def hear(self, event: Event, now_us: int) -> None:
        if not isinstance(event, BookMoved) or event.symbol != self._market.symbol:
            return
        best = best_levels(self._market)
        if best != self._told:
            self._told = best
            (bid, bid_quantity), (ask, ask_quantity) = best
            self._push(
                {
                    "u": event.update_id,
                    "s": event.symbol,
                    "b": text(bid),
                    "B": text(bid_quantity),
                    "a": text(ask),
                    "A": text(ask_quantity),
                }
            )


class DepthFeed(TimedFeed):
    """`<symbol>@depth`: what changed in the book since the last event, in an unbroken chain of update ids."""

    LEVELS: Final = 5000

    def __init__(self, push: Push, time: Time, market: Market, period_us: int) -> None:
        super().__init__(push, time, period_us)
        self._market = market
        self._told = self._now = sides(market, self.LEVELS)
        self._told_id = self._now_id = market.book.update_id

    def hear(self, event: Event, now_us: int) -> None:
        if isinstance(event, BookMoved) and event.symbol == self._market.symbol:
            self._now, self._now_id = sides(self._market, self.LEVELS), event.update_id
            self._changed(now_us)

    def _tell(self, due_us: int) -> None:
        changes = [changed_levels(told, now) for told, now in zip(self._told, self._now, strict=True)]
        if not any(changes):
            # The ids stay untold, so that the next event follows on the last one.
            return
        self._push(
            {
                "e": "depthUpdate",
                "E": self._time(due_us),
                "s": self._market.symbol,
                "U": self._told_id + 1,
                "u": self._now_id,
                "b": sorted_levels(changes[0], best_is_high=True),
                "a": sorted_levels(changes[1], best_is_high=False),
            }
        )
        self._told, self._told_id = self._now, self._now_id


class PartialDepthFeed(TimedFeed):
    """`<symbol>@depth5`, 10 or 20: the best levels of each side."""

    def __init__(self, push: Push, time: Time, market: Market, period_us: int, levels: int) -> None:
        super().__init__(push, time, period_us)
        self._market = market
        self._levels = levels
        self._told = self._now = sides(market, levels)
        self._now_id = market.book.update_id
        # The first event is the book as it is.
        self._is_first = True

    def begin(self, now_us: int) -> None:
        """Makes the book as it is due, whether it changes or not."""
        self._changed(now_us)

    def hear(self, event: Event, now_us: int) -> None:
        if isinstance(event, BookMoved) and event.symbol == self._market.symbol:
            self._now, self._now_id = sides(self._market, self._levels), event.update_id
            self._changed(now_us)

    def _tell(self, due_us: int) -> None:
        if self._now == self._told and not self._is_first:
            return
        self._told, self._is_first = self._now, False
        bids, asks = ([[text(price), text(quantity)] for price, quantity in side.items()] for side in self._now)
        self._push({"lastUpdateId": self._now_id, "bids": bids, "asks": asks})


def sides(market: Market, levels: int) -> Sides:
    """A copy of the best levels of both sides of a book."""
    return dict(market.book.bids.depth(levels)), dict(market.book.asks.depth(levels))


def best_levels(market: Market) -> tuple[Level, Level]:
    """The best bid and the best ask; zeros where a side is empty."""
    bids, asks = market.book.bids.depth(1), market.book.asks.depth(1)
    return (bids[0] if bids else NOTHING), (asks[0] if asks else NOTHING)


def changed_levels(told: dict[Decimal, Decimal], now: dict[Decimal, Decimal]) -> dict[Decimal, Decimal]:
    """The levels that are not as they were told, gone ones with quantity zero."""
    changes = {price: quantity for price, quantity in now.items() if told.get(price) != quantity}
    changes.update({price: ZERO for price in told if price not in now})
    return changes


def sorted_levels(changes: dict[Decimal, Decimal], *, best_is_high: bool) -> list[list[str]]:
    """As they are sent, best first."""
    return [[text(price), text(changes[price])] for price in sorted(changes, reverse=best_is_high)]
