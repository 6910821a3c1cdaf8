"""`state/market_snapshot.json`: last prices and daily closes per asset. The bot alone writes it.

Schema 1: `{"schema_version": 1, "generated_at": T, "assets": {ASSET: {"last_price": "3000.12", "daily_closes":
[{"date": "2026-05-11", "close": "2990"}]}}}`. Prices are decimal strings in USDT, above zero; closes are of complete
days, oldest first, each day once; times are ISO 8601 with a Z. Source: contract §2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from worker.contracts.payloads import Asset
from worker.contracts.text_forms import TimeText
from worker.readers.document import DamagedFile, convert_at, entries_of, parse_document, read_bytes, read_time
from worker.readers.home import Home
from worker.risk.inputs import AssetMarket

SCHEMA_VERSION = 1

MAX_ASSETS = 1000
"""More than the exchange lists against one quote currency."""

MAX_CLOSES = 400
"""A year and a month; the bot shows 30."""

PriceText = Annotated[str, msgspec.Meta(pattern=r"\A(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?\Z")]
"""A decimal without sign or exponent, at most 18 digits on each side of the point, as the bot writes it."""

DayText = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]
"""A day as ISO 8601 writes it. Text, like every time on disk: the class that a schema names is not replaced with
the clock, and the schema would then refuse every day."""

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyClose:
    """The last price of a complete day, in USDT."""

    date: date
    close: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketAsset:
    """What the market says about one asset: its last price in USDT, and its closes, oldest first."""

    last_price: Decimal
    daily_closes: tuple[DailyClose, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The whole file."""

    generated_at: datetime
    assets: Mapping[str, MarketAsset]


class _CloseOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: DayText
    close: PriceText


class _AssetOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    last_price: PriceText
    daily_closes: Annotated[tuple[_CloseOnDisk, ...], msgspec.Meta(max_length=MAX_CLOSES)]


class _MarketOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema_version: int
    generated_at: TimeText
    # Left raw, so that damage inside an entry is reported under the asset's name.
    assets: Annotated[dict[str, Any], msgspec.Meta(max_length=MAX_ASSETS)]


def read_market(home: Home) -> Market | None:
    """The market as the bot last saw it, or None while there is no file.

    Raises: `DamagedFile` with path and place; `UnreadableFile`.
    """
    content = read_bytes(home.market_snapshot)
    return None if content is None else decode_market(content, path=home.market_snapshot)


def decode_market(content: bytes, *, path: Path) -> Market:
    """The market that `content`, read from `path`, holds.

    Raises: `DamagedFile` with the place of the first thing that does not fit the schema.
    """
    document = parse_document(content, path=path, schema_version=SCHEMA_VERSION)
    whole = convert_at(document, _MarketOnDisk, path=path, place="$")
    entries = entries_of(whole.assets, path=path, place="$.assets", name_type=Asset)
    return Market(
        generated_at=read_time(whole.generated_at, path=path, place="$.generated_at"),
        assets=MappingProxyType({asset: _asset(raw, path=path, place=place) for asset, place, raw in entries}),
    )


def engine_market(market: Market) -> dict[str, AssetMarket]:
    """The market as the risk engine takes it: of each asset the closes after the last missing day.

    The move over a gap is one of several days; taken for one of a day it would be an invented number. Closes that end
    before the day that came before the snapshot's say nothing of today: none is left of them.
    """
    made_on = market.generated_at.date()
    return {
        asset: AssetMarket(last_price=found.last_price, daily_closes=_unbroken(found.daily_closes, made_on))
        for asset, found in market.assets.items()
    }


def _unbroken(closes: Sequence[DailyClose], made_on: date) -> tuple[Decimal, ...]:
    """The closes of days without a gap up to `made_on`, which was no complete day yet."""
    complete = [close for close in closes if close.date < made_on]
    days = [*(close.date for close in complete), made_on]
    begins = [later for later, (one, other) in enumerate(pairwise(days), start=1) if other - one > ONE_DAY]
    return tuple(close.close for close in complete[max(begins, default=0) :])


def _asset(raw: Any, *, path: Path, place: str) -> MarketAsset:
    entry = convert_at(raw, _AssetOnDisk, path=path, place=place)
    closes: list[DailyClose] = []
    for position, close in enumerate(entry.daily_closes):
        where = f"{place}.daily_closes[{position}]"
        day = _day(close.date, path=path, place=f"{where}.date")
        if closes and day <= closes[-1].date:
            raise DamagedFile(path, place=f"{where}.date", problem=f"expected a day after {closes[-1].date}")
        closes.append(DailyClose(date=day, close=_price(close.close, path=path, place=f"{where}.close")))
    return MarketAsset(
        last_price=_price(entry.last_price, path=path, place=f"{place}.last_price"), daily_closes=tuple(closes)
    )


def _day(text: str, *, path: Path, place: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise DamagedFile(path, place=place, problem=f"{text!r} is no day: {error}") from error


def _price(text: str, *, path: Path, place: str) -> Decimal:
    price = Decimal(text)
    if price == 0:
        raise DamagedFile(path, place=place, problem="expected a price above zero, found 0")
    return price
