"""Tickers: what happened to prices over a window of time, and the best prices now."""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from sim.exchange.amounts import ZERO, rounded_half_up, text
from sim.exchange.call import Call
from sim.exchange.clock import DAY, HOUR, MINUTE
from sim.exchange.klines import Interval, zone_offset
from sim.exchange.market import Market
from sim.exchange.order_payloads import Time
from sim.exchange.refusals import ApiError

MAX_SYMBOLS: Final = 100
_WINDOW: Final = re.compile(r"([1-9]\d?)([mhd])")
_WINDOW_UNITS: Final = {"m": (MINUTE, 59), "h": (HOUR, 23), "d": (DAY, 7)}

Payload = dict[str, Any]


def ticker_24h(call: Call) -> Any:
    """GET ticker/24hr."""
    begin, end = call.now_us - DAY, call.now_us

    def told(market: Market) -> Payload:
        return _told(call, day_fields(call.time, market, begin, end))

    return _each(call, told, all_by_default=True)


def ticker_trading_day(call: Call) -> Any:
    """GET ticker/tradingDay."""
    day = Interval(DAY, zone_offset(call.given("timeZone")))
    begin = day.opening(call.now_us)
    end = day.following(begin)

    def told(market: Market) -> Payload:
        fields = _window_fields(call.time, market, begin, end - 1)
        return _told(call, {**fields, "closeTime": call.time(end) - 1})

    return _each(call, told, all_by_default=False)


def ticker_window(call: Call) -> Any:
    """GET ticker: a rolling window that opens on a whole minute."""
    begin = (call.now_us - _window_us(call.parameters.get("windowSize", "1d"))) // MINUTE * MINUTE

    def told(market: Market) -> Payload:
        return _told(call, _window_fields(call.time, market, begin, call.now_us))

    return _each(call, told, all_by_default=False)


def ticker_price(call: Call) -> Any:
    """GET ticker/price."""

    def told(market: Market) -> Payload:
        return {"symbol": market.symbol, "price": text(market.tape.last_price)}

    return _each(call, told, all_by_default=True)


def ticker_book(call: Call) -> Any:
    """GET ticker/bookTicker."""

    def told(market: Market) -> Payload:
        return {"symbol": market.symbol, **best_prices(market)}

    return _each(call, told, all_by_default=True)


def _each(call: Call, told: Callable[[Market], Payload], *, all_by_default: bool) -> Payload | list[Payload]:
    """One ticker for `symbol`, several for `symbols`, and all, or none, where neither was sent."""
    symbols, status = call.given("symbols"), call.given("symbolStatus")
    if call.given("symbol") is not None:
        if symbols is not None:
            raise ApiError("optional_combination")
        return told(call.market)
    markets: Sequence[Market]
    if symbols is not None:
        if len(symbols) > MAX_SYMBOLS and not all_by_default:
            raise ApiError("invalid_value", "symbols")
        markets = [call.find_market(symbol) for symbol in symbols]
    elif all_by_default:
        markets = list(call.world.markets.values())
    else:
        raise ApiError("one_of_two_parameters", "symbol", "symbols")
    return [told(market) for market in markets if status in {None, market.status}]


def _window_us(given: str) -> int:
    found = _WINDOW.fullmatch(given)
    if found is None:
        raise ApiError("invalid_value", "windowSize")
    unit, most = _WINDOW_UNITS[found.group(2)]
    if int(found.group(1)) > most:
        raise ApiError("invalid_value", "windowSize")
    return int(found.group(1)) * unit


def best_prices(market: Market) -> Payload:
    """The best price of each side and what is shown at it; zeros where a side is empty."""
    bids, asks = market.book.bids.depth(1), market.book.asks.depth(1)
    bid, ask = bids[0] if bids else (ZERO, ZERO), asks[0] if asks else (ZERO, ZERO)
    return {"bidPrice": text(bid[0]), "bidQty": text(bid[1]), "askPrice": text(ask[0]), "askQty": text(ask[1])}


def _window_fields(time: Time, market: Market, begin_us: int, end_us: int) -> Payload:
    """All fields of a window but those that only the 24-hour ticker has."""
    trades = market.tape.between(begin_us, end_us)
    prices = [trade.price for trade in trades] or [ZERO]
    volume = sum((trade.quantity for trade in trades), ZERO)
    quote_volume = sum((trade.quote_quantity for trade in trades), ZERO)
    change = prices[-1] - prices[0]
    return {
        "symbol": market.symbol,
        "priceChange": text(change),
        "priceChangePercent": f"{_percent(change, prices[0]):.3f}",
        "weightedAvgPrice": text(rounded_half_up(quote_volume / volume) if volume else ZERO),
        "openPrice": text(prices[0]),
        "highPrice": text(max(prices)),
        "lowPrice": text(min(prices)),
        "lastPrice": text(prices[-1]),
        "volume": text(volume),
        "quoteVolume": text(quote_volume),
        "openTime": time(begin_us),
        "closeTime": time(end_us),
        "firstId": trades[0].trade_id if trades else -1,
        "lastId": trades[-1].trade_id if trades else -1,
        "count": len(trades),
    }


def _percent(change: Decimal, opening: Decimal) -> Decimal:
    return change / opening * 100 if opening else ZERO


_DAY_KEYS: Final = (
    "symbol", "priceChange", "priceChangePercent", "weightedAvgPrice", "prevClosePrice", "lastPrice", "lastQty",
    "bidPrice", "bidQty", "askPrice", "askQty", "openPrice", "highPrice", "lowPrice", "volume", "quoteVolume",
    "openTime", "closeTime", "firstId", "lastId", "count",
)  # fmt: skip
_MINI_KEYS: Final = (
    "symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume", "openTime", "closeTime",
    "firstId", "lastId", "count",
)  # fmt: skip


def day_fields(time: Time, market: Market, begin_us: int, end_us: int) -> Payload:
    """All fields of a ticker over that window, with the best prices as they are now."""
    fields = _window_fields(time, market, begin_us, end_us)
    trades = market.tape.between(begin_us, end_us)
    first = trades[0].trade_id if trades else market.tape.next_id
    before = market.tape.from_id(first - 1, 1) if first else ()
    fields.update(best_prices(market))
    fields["prevClosePrice"] = text(before[0].price) if before else fields["openPrice"]
    fields["lastQty"] = text(trades[-1].quantity if trades else ZERO)
    return {key: fields[key] for key in _DAY_KEYS}


def _told(call: Call, fields: Payload) -> Payload:
    """As FULL or MINI asks."""
    if call.given("tickerType") == "MINI":
        return {key: fields[key] for key in _MINI_KEYS}
    return fields
