"""Names of market streams: which feed `btcusdt@kline_1m` asks for. Symbols are in small letters."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from sim.exchange.clock import HOUR, MS, SECOND
from sim.exchange.klines import interval_named
from sim.exchange.market import Market
from sim.exchange.order_payloads import Time
from sim.exchange.streams.feeds import (
    AggregateTradeFeed,
    BookTickerFeed,
    DepthFeed,
    Feed,
    PartialDepthFeed,
    Push,
    TradeFeed,
)
from sim.exchange.streams.statistics import (
    AllMiniTickersFeed,
    AveragePriceFeed,
    KlineFeed,
    MiniTickerFeed,
    TickerFeed,
)
from sim.exchange.tables import table
from sim.exchange.world import World

ALL_MINI_TICKERS: Final = "!miniTicker@arr"
_DEPTH: Final = re.compile(r"depth(5|10|20)?(@100ms|@1000ms)?")
_KLINE: Final = re.compile(r"kline_(\d+[smhdwM])(@\+08:00)?")
_PLAIN: Mapping[str, Callable[[Push, Time, Market], Feed]] = MappingProxyType(
    {
        "trade": TradeFeed,
        "aggTrade": AggregateTradeFeed,
        "bookTicker": BookTickerFeed,
        "miniTicker": MiniTickerFeed,
        "ticker": TickerFeed,
        "avgPrice": AveragePriceFeed,
    }
)


def feed_named(name: str, world: World, push: Push, time: Time) -> Feed | None:
    """The feed of a market stream, from now on; None for a name that is none, which the exchange does not refuse."""
    if name == ALL_MINI_TICKERS:
        return AllMiniTickersFeed(push, time, world.markets)
    symbol, _, kind = name.partition("@")
    market = _market_of(world, symbol)
    if market is None:
        return None
    if kind in _PLAIN:
        return _PLAIN[kind](push, time, market)
    depth = _DEPTH.fullmatch(kind)
    if depth is not None:
        period_us = 100 * MS if depth.group(2) == "@100ms" else SECOND
        if depth.group(1) is None:
            return DepthFeed(push, time, market, period_us)
        partial = PartialDepthFeed(push, time, market, period_us, int(depth.group(1)))
        partial.begin(world.now_us())
        return partial
    kline = _KLINE.fullmatch(kind)
    if kline is not None and kline.group(1) in _intervals():
        interval = interval_named(kline.group(1), 8 * HOUR if kline.group(2) else 0)
        return KlineFeed(push, time, market, kline.group(1), interval, world.now_us())
    return None


def _market_of(world: World, symbol: str) -> Market | None:
    """The market whose symbol, in small letters, this is."""
    found = world.markets.get(symbol.upper())
    return found if found is not None and found.symbol.lower() == symbol else None


@cache
def _intervals() -> frozenset[str]:
    return frozenset(table("parameters.toml")["parameters"]["interval"]["among"])
