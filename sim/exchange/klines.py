"""Klines: trades of a symbol in intervals of time, aligned to UTC or to a given time zone."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from sim.exchange.amounts import ZERO, text
from sim.exchange.call import Call
from sim.exchange.clock import DAY, HOUR, MINUTE, SECOND
from sim.exchange.order import Trade
from sim.exchange.refusals import ApiError
from sim.exchange.tape import Tape

_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
# 1970 began on a Thursday; weeks begin on Mondays.
_FIRST_MONDAY_US: Final = 4 * DAY
_ZONE: Final = re.compile(r"([+-]?)(\d{1,2})(?::(\d{2}))?")
_WESTERNMOST: Final = -12 * HOUR
_EASTERNMOST: Final = 14 * HOUR


@dataclass(frozen=True, slots=True)
class Interval:
    """Intervals of one length, in a time zone `offset_us` ahead of UTC. A month has length 0."""

    length_us: int
    offset_us: int
    anchor_us: int = 0

    def opening(self, time_us: int) -> int:
        """When the interval that holds this time began."""
        local = time_us + self.offset_us
        if not self.length_us:
            return _month_begin(local) - self.offset_us
        return (local - self.anchor_us) // self.length_us * self.length_us + self.anchor_us - self.offset_us

    def following(self, opening_us: int) -> int:
        """When the next interval begins."""
        if self.length_us:
            return opening_us + self.length_us
        # The longest month has 31 days: a day of the next one is 32 days after the first.
        return _month_begin(opening_us + self.offset_us + 32 * DAY) - self.offset_us


def _month_begin(time_us: int) -> int:
    moment = datetime.fromtimestamp(time_us // SECOND, tz=UTC)
    first = moment.replace(day=1, hour=0, minute=0, second=0)
    return int(first.timestamp()) * SECOND


def interval_named(name: str, offset_us: int = 0) -> Interval:
    """The interval of one of the sixteen names."""
    number, unit = int(name[:-1]), name[-1]
    if unit == "M":
        return Interval(0, offset_us)
    return Interval(number * _UNITS[unit], offset_us, _FIRST_MONDAY_US if unit == "w" else 0)


def zone_offset(given: str | None) -> int:
    """Microseconds ahead of UTC of `8`, `-1:00` or `05:45`.

    Raises ApiError `invalid_value` for what is no zone, or lies beyond -12:00 or +14:00.
    """
    if given is None:
        return 0
    found = _ZONE.fullmatch(given)
    if found is None:
        raise ApiError("invalid_value", "timeZone")
    sign, hours, minutes = found.groups(default="0")
    offset = (int(hours) * HOUR + int(minutes) * MINUTE) * (-1 if sign == "-" else 1)
    if int(minutes) >= 60 or not _WESTERNMOST <= offset <= _EASTERNMOST:
        raise ApiError("invalid_value", "timeZone")
    return offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Kline:
    """One interval. `closes_us` is when the next one begins."""

    opens_us: int
    closes_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    count: int
    taker_volume: Decimal
    taker_quote_volume: Decimal


def kline(trades: Sequence[Trade], price_before: Decimal, opens_us: int, closes_us: int) -> Kline:
    """The kline of these trades; without any, a flat one at the price before."""
    prices = [trade.price for trade in trades] or [price_before]
    bought = [trade for trade in trades if not trade.is_buyer_maker]
    return Kline(
        opens_us=opens_us,
        closes_us=closes_us,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=sum((trade.quantity for trade in trades), ZERO),
        quote_volume=sum((trade.quote_quantity for trade in trades), ZERO),
        count=len(trades),
        taker_volume=sum((trade.quantity for trade in bought), ZERO),
        taker_quote_volume=sum((trade.quote_quantity for trade in bought), ZERO),
    )


def openings(interval: Interval, *, first_us: int, last_us: int, limit: int, from_start: bool) -> list[int]:
    """When up to `limit` intervals began that begin from `first_us` to `last_us`: the first ones, or the last ones."""
    found: list[int] = []
    if from_start:
        opening = interval.opening(first_us)
        opening = opening if opening >= first_us else interval.following(opening)
        while opening <= last_us and len(found) < limit:
            found.append(opening)
            opening = interval.following(opening)
        return found
    opening = interval.opening(last_us)
    while opening >= first_us and len(found) < limit:
        found.append(opening)
        opening = interval.opening(opening - 1)
    return found[::-1]


def klines_of(
    tape: Tape, interval: Interval, now_us: int, *, begin_us: int | None, end_us: int | None, limit: int
) -> list[Kline]:
    """Klines that open from `begin_us` to `end_us`; with a begin the oldest, else the most recent."""
    trades = tape.all()
    if not trades:
        return []
    first_us = max(interval.opening(trades[0].time_us), begin_us or 0)
    last_us = min(now_us, now_us if end_us is None else end_us)
    found = openings(interval, first_us=first_us, last_us=last_us, limit=limit, from_start=begin_us is not None)
    klines = []
    at = bisect_left(trades, found[0], key=lambda trade: trade.time_us) if found else 0
    for opening in found:
        closes_us = interval.following(opening)
        end = bisect_left(trades, closes_us, lo=at, key=lambda trade: trade.time_us)
        klines.append(kline(trades[at:end], trades[max(at - 1, 0)].price, opening, closes_us))
        at = end
    return klines


def klines(call: Call) -> Any:
    """GET klines and uiKlines, which are the same on testnet."""
    interval = interval_named(call.parameters["interval"], zone_offset(call.given("timeZone")))
    found = klines_of(
        call.market.tape,
        interval,
        call.now_us,
        begin_us=call.given_time("startTime"),
        end_us=call.given_time("endTime"),
        limit=call.limit,
    )
    return [_row(call, each) for each in found]


def _row(call: Call, each: Kline) -> list[Any]:
    return [
        call.time(each.opens_us),
        text(each.open),
        text(each.high),
        text(each.low),
        text(each.close),
        text(each.volume),
        call.time(each.closes_us) - 1,
        text(each.quote_volume),
        each.count,
        text(each.taker_volume),
        text(each.taker_quote_volume),
        "0",
    ]
