"""Prices from a seeded random walk: a pure function of seed, asset, cycle and day, exact in every digit.

A daily close walks from a fixed anchor day; the last price is yesterday's close moved by an offset that walks from
cycle to cycle and is reflected at its bounds, so that it never drifts away from the closes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Protocol

from sim.fake_bot.errors import BotRefused

ANCHOR = date(2026, 1, 1)
"""The day on which every asset closed at its base price."""

MAX_DAYS_FROM_ANCHOR = 36_525
"""A century: a database clock beyond it is broken, and the walk stays below a tenth of a second."""

DAILY_CLOSES = 30
"""How many complete days a snapshot shows."""

DAY_STEP_BPS = 250
CYCLE_STEP_BPS = 25
MAX_OFFSET_BPS = 300
BPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """What can be traded. Prices are multiples of `tick`, in USDT; quantities are multiples of `step`."""

    symbol: str
    base_price: Decimal
    tick: Decimal
    step: Decimal


ASSETS: tuple[Asset, ...] = (
    Asset(symbol="ADA", base_price=Decimal("0.75"), tick=Decimal("0.0001"), step=Decimal("0.1")),
    Asset(symbol="BTC", base_price=Decimal("60000"), tick=Decimal("0.01"), step=Decimal("0.000001")),
    Asset(symbol="ETH", base_price=Decimal("3000"), tick=Decimal("0.01"), step=Decimal("0.00001")),
    Asset(symbol="SOL", base_price=Decimal("150"), tick=Decimal("0.01"), step=Decimal("0.001")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyClose:
    """The last price of a complete day, in USDT."""

    date: date
    close: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What the market says about one asset: its last price in USDT, and its closes, oldest first."""

    asset: Asset
    last_price: Decimal
    daily_closes: tuple[DailyClose, ...]


class PriceSource(Protocol):
    """Where the bot's prices come from."""

    def quotes(self, *, cycle: int, today: date) -> Mapping[str, Quote]:
        """A quote for each asset, by symbol, in a fixed order."""
        ...


class PriceWalk:
    """Prices of a seed. Keeps where each walk stands, so that the next cycle costs one step."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._offsets: dict[str, tuple[int, int]] = {}
        self._closes: dict[str, tuple[date, tuple[DailyClose, ...]]] = {}

    def quotes(self, *, cycle: int, today: date) -> Mapping[str, Quote]:
        """A quote for each asset of `ASSETS`.

        Raises: `BotRefused` (`bot/clock_out_of_range`) for a day over a century from the anchor.
        """
        return {asset.symbol: self._quote(asset, cycle=cycle, today=today) for asset in ASSETS}

    def _quote(self, asset: Asset, *, cycle: int, today: date) -> Quote:
        closes = self._closes_before(asset, today)
        yesterday_ticks = int(closes[-1].close / asset.tick)
        ticks = max(1, yesterday_ticks * (BPS + self._offset_bps(asset, cycle)) // BPS)
        return Quote(asset=asset, last_price=ticks * asset.tick, daily_closes=closes)

    def _offset_bps(self, asset: Asset, cycle: int) -> int:
        """The offset at `cycle`: walked on from where the last call left it, or from zero when that lies ahead."""
        at, offset = self._offsets.get(asset.symbol, (0, 0))
        if at > cycle:
            at, offset = 0, 0
        for index in range(at + 1, cycle + 1):
            offset = reflect(offset + self._draw(asset, "cycle", index, CYCLE_STEP_BPS), MAX_OFFSET_BPS)
        self._offsets[asset.symbol] = (cycle, offset)
        return offset

    def _closes_before(self, asset: Asset, today: date) -> tuple[DailyClose, ...]:
        known = self._closes.get(asset.symbol)
        if known is not None and known[0] == today:
            return known[1]
        last_day = (today - ANCHOR).days - 1
        if abs(last_day) > MAX_DAYS_FROM_ANCHOR - DAILY_CLOSES:
            raise BotRefused(
                "bot/clock_out_of_range",
                f"expected a database clock within a century of {ANCHOR}, found {today}; set the clock right",
            )
        first_day = last_day - DAILY_CLOSES + 1
        ticks_of_day = self._walk(asset, first_day=min(first_day, 0), last_day=max(last_day, 0))
        closes = tuple(
            DailyClose(date=ANCHOR + timedelta(days=day), close=ticks_of_day[day] * asset.tick)
            for day in range(first_day, last_day + 1)
        )
        self._closes[asset.symbol] = (today, closes)
        return closes

    def _walk(self, asset: Asset, *, first_day: int, last_day: int) -> dict[int, int]:
        """Closes in ticks from `first_day` to `last_day`, days counted from the anchor, which lies between them."""
        base = int(asset.base_price / asset.tick)
        found = {0: base}
        for days, towards_anchor in ((range(1, last_day + 1), -1), (range(-1, first_day - 1, -1), 1)):
            for day in days:
                step = self._draw(asset, "day", day, DAY_STEP_BPS)
                found[day] = max(1, found[day + towards_anchor] * (BPS + step) // BPS)
        return found

    def _draw(self, asset: Asset, walk: str, index: int, bound: int) -> int:
        """A whole number from -bound to bound, the same on every machine and in every version of Python."""
        digest = hashlib.sha256(f"{self._seed}/{asset.symbol}/{walk}/{index}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % (2 * bound + 1) - bound


def reflect(offset: int, bound: int) -> int:
    """`offset` folded back into -bound … bound; it lies less than twice the bound outside."""
    if offset > bound:
        return 2 * bound - offset
    if offset < -bound:
        return -2 * bound - offset
    return offset
