"""Market streams that tell of a stretch of time: klines, tickers of 24 hours, average prices."""

from decimal import Decimal
from typing import Any

from sim.exchange.amounts import ZERO, text
from sim.exchange.clock import DAY, SECOND
from sim.exchange.events import BookMoved, Event, Traded
from sim.exchange.klines import Interval
from sim.exchange.market import Market
from sim.exchange.order import Trade
from sim.exchange.order_payloads import Time
from sim.exchange.streams.feeds import NEVER_US, Feed, Push, TimedFeed, best_levels
from sim.exchange.tickers import day_fields

AVERAGE_MINUTES = 5


class _OpenKline:
    """The kline that is not closed yet, kept up to date trade by trade."""

    def __init__(self, opens_us: int, closes_us: int, price: Decimal) -> None:
        self.opens_us = opens_us
        self.closes_us = closes_us
        self.open = self.high = self.low = self.close = price
        self.first_id = self.last_id = -1
        self.count = 0
        self.volume = self.quote_volume = self.taker_volume = self.taker_quote_volume = ZERO

    def add(self, trade: Trade) -> None:
        if not self.count:
            self.open = self.high = self.low = trade.price
            self.first_id = trade.trade_id
        self.close, self.last_id = trade.price, trade.trade_id
        self.high, self.low = max(self.high, trade.price), min(self.low, trade.price)
        self.count += 1
        self.volume += trade.quantity
        self.quote_volume += trade.quote_quantity
        if not trade.is_buyer_maker:
            self.taker_volume += trade.quantity
            self.taker_quote_volume += trade.quote_quantity


class KlineFeed(Feed):
    """`<symbol>@kline_<interval>`: the open kline when it changed, and each kline once more when it closes."""

    def __init__(self, push: Push, time: Time, market: Market, name: str, interval: Interval, now_us: int) -> None:
        super().__init__(push, time)
        self._market = market
        self._name = name
        self._interval = interval
        self._period_us = SECOND if name == "1s" else 2 * SECOND
        self._due_us = NEVER_US
        opens_us = interval.opening(now_us)
        self._kline = _OpenKline(opens_us, interval.following(opens_us), market.tape.last_price)
        for trade in market.tape.between(opens_us, now_us):
            self._kline.add(trade)

    def hear(self, event: Event, now_us: int) -> None:
        if isinstance(event, Traded) and event.symbol == self._market.symbol:
            self._kline.add(event.trade)
            if self._due_us == NEVER_US:
                self._due_us = (now_us // self._period_us + 1) * self._period_us

    def tick(self, now_us: int) -> None:
        while min(self._due_us, self._kline.closes_us) <= now_us:
            if self._due_us < self._kline.closes_us:
                self._push(self._told(self._due_us, is_closed=False))
                self._due_us = NEVER_US
            else:
                self._close()

    def _close(self) -> None:
        closed = self._kline
        self._push(self._told(closed.closes_us, is_closed=True))
        self._due_us = NEVER_US
        self._kline = _OpenKline(closed.closes_us, self._interval.following(closed.closes_us), closed.close)

    def _told(self, at_us: int, *, is_closed: bool) -> dict[str, Any]:
        it = self._kline
        return {
            "e": "kline",
            "E": self._time(at_us),
            "s": self._market.symbol,
            "k": {
                "t": self._time(it.opens_us),
                "T": self._time(it.closes_us) - 1,
                "s": self._market.symbol,
                "i": self._name,
                "f": it.first_id,
                "L": it.last_id,
                "o": text(it.open),
                "c": text(it.close),
                "h": text(it.high),
                "l": text(it.low),
                "v": text(it.volume),
                "n": it.count,
                "x": is_closed,
                "q": text(it.quote_volume),
                "V": text(it.taker_volume),
                "Q": text(it.taker_quote_volume),
                "B": "0",
            },
        }


class MiniTickerFeed(TimedFeed):
    """`<symbol>@miniTicker`."""

    def __init__(self, push: Push, time: Time, market: Market) -> None:
        super().__init__(push, time)
        self._market = market

    def hear(self, event: Event, now_us: int) -> None:
        if isinstance(event, Traded) and event.symbol == self._market.symbol:
            self._changed(now_us)

    def _tell(self, due_us: int) -> None:
        self._push(mini_ticker(self._market, self._time, due_us))


class AllMiniTickersFeed(TimedFeed):
    """`!miniTicker@arr`: the mini tickers of the symbols that changed."""

    def __init__(self, push: Push, time: Time, markets: dict[str, Market]) -> None:
        super().__init__(push, time)
        self._markets = markets
        # In the order in which they changed; the values say nothing.
        self._moved: dict[str, None] = {}

    def hear(self, event: Event, now_us: int) -> None:
        if isinstance(event, Traded):
            self._moved[event.symbol] = None
            self._changed(now_us)

    def _tell(self, due_us: int) -> None:
        moved, self._moved = self._moved, {}
        self._push([mini_ticker(self._markets[symbol], self._time, due_us) for symbol in moved])


class TickerFeed(TimedFeed):
    """`<symbol>@ticker`."""

    def __init__(self, push: Push, time: Time, market: Market) -> None:
        super().__init__(push, time)
        self._market = market
        self._best = best_levels(market)

    def hear(self, event: Event, now_us: int) -> None:
        if not isinstance(event, Traded | BookMoved) or event.symbol != self._market.symbol:
            return
        if isinstance(event, BookMoved):
            self._best = best_levels(self._market)
        self._changed(now_us)

    def _tell(self, due_us: int) -> None:
        told = day_fields(self._time, self._market, due_us - DAY, due_us)
        (bid, bid_quantity), (ask, ask_quantity) = self._best
        self._push(
            {
                "e": "24hrTicker",
                "E": self._time(due_us),
                "s": self._market.symbol,
                "p": told["priceChange"],
                "P": told["priceChangePercent"],
                "w": told["weightedAvgPrice"],
                "x": told["prevClosePrice"],
                "c": told["lastPrice"],
                "Q": told["lastQty"],
                "b": text(bid),
                "B": text(bid_quantity),
                "a": text(ask),
                "A": text(ask_quantity),
                "o": told["openPrice"],
                "h": told["highPrice"],
                "l": told["lowPrice"],
                "v": told["volume"],
                "q": told["quoteVolume"],
                "O": told["openTime"],
                "C": told["closeTime"],
                "F": told["firstId"],
                "L": told["lastId"],
                "n": told["count"],
            }
        )


class AveragePriceFeed(TimedFeed):
    """`<symbol>@avgPrice`."""

    def __init__(self, push: Push, time: Time, market: Market) -> None:
        super().__init__(push, time)
        self._market = market
        self._last_trade_us = market.tape.last_time_us

    def hear(self, event: Event, now_us: int) -> None:
        if isinstance(event, Traded) and event.symbol == self._market.symbol:
            self._last_trade_us = event.trade.time_us
            self._changed(now_us)

    def _tell(self, due_us: int) -> None:
        self._push(
            {
                "e": "avgPrice",
                "E": self._time(due_us),
                "s": self._market.symbol,
                "i": f"{AVERAGE_MINUTES}m",
                "w": text(self._market.tape.average(AVERAGE_MINUTES, due_us)),
                "T": self._time(self._last_trade_us or due_us),
            }
        )


def mini_ticker(market: Market, time: Time, now_us: int) -> dict[str, Any]:
    """The ticker of the 24 hours before, without what only the full one tells."""
    told = day_fields(time, market, now_us - DAY, now_us)
    return {
        "e": "24hrMiniTicker",
        "E": time(now_us),
        "s": market.symbol,
        "c": told["lastPrice"],
        "o": told["openPrice"],
        "h": told["highPrice"],
        "l": told["lowPrice"],
        "v": told["volume"],
        "q": told["quoteVolume"],
    }
