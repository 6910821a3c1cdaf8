"""`live_portfolio.json`: what the bot holds. The bot alone writes it; the worker only ever reads it.

Schema 1: `{"schema_version": 1, "cycle": N, "updated_at": T, "cash_usdt": "10000", "positions": {ASSET: {"quantity":
"0.5", "average_price": "3000"}}, "managed": {ASSET: {…}}}`. Decimals are decimal strings, times ISO 8601 with a Z.
`managed` is optional and the bot's own notebook: what stands in it is not looked at. Source: contract §2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from worker.contracts.payloads import Asset
from worker.contracts.text_forms import DecimalText, TimeText
from worker.readers.document import convert_at, entries_of, parse_document, read_bytes, read_time
from worker.readers.home import Home

SCHEMA_VERSION = 1

MAX_POSITIONS = 1000
"""More assets than the exchange lists against one quote currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """Cash in USDT, and how much of each asset is held, as of the bot's cycle that last changed them."""

    cycle: int
    updated_at: datetime
    cash_usdt: Decimal
    positions: Mapping[str, Decimal]


class _PositionOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    quantity: DecimalText
    average_price: DecimalText


class _PortfolioOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema_version: int
    cycle: Annotated[int, msgspec.Meta(ge=1)]
    updated_at: TimeText
    cash_usdt: DecimalText
    # Left raw, so that damage inside a position is reported under the asset's name.
    positions: Annotated[dict[str, Any], msgspec.Meta(max_length=MAX_POSITIONS)]
    managed: Annotated[dict[str, Any], msgspec.Meta(max_length=MAX_POSITIONS)] = msgspec.field(default_factory=dict)


def read_portfolio(home: Home) -> Portfolio | None:
    """What the bot holds, or None while there is no file: the bot has never run here.

    Raises: `DamagedFile` with path and place; `UnreadableFile`.
    """
    content = read_bytes(home.live_portfolio)
    return None if content is None else decode_portfolio(content, path=home.live_portfolio)


def decode_portfolio(content: bytes, *, path: Path) -> Portfolio:
    """The portfolio that `content`, read from `path`, holds.

    Raises: `DamagedFile` with the place of the first thing that does not fit the schema.
    """
    document = parse_document(content, path=path, schema_version=SCHEMA_VERSION)
    whole = convert_at(document, _PortfolioOnDisk, path=path, place="$")
    entries = entries_of(whole.positions, path=path, place="$.positions", name_type=Asset)
    return Portfolio(
        cycle=whole.cycle,
        updated_at=read_time(whole.updated_at, path=path, place="$.updated_at"),
        cash_usdt=Decimal(whole.cash_usdt),
        positions=MappingProxyType(
            {
                asset: Decimal(convert_at(raw, _PositionOnDisk, path=path, place=place).quantity)
                for asset, place, raw in entries
            }
        ),
    )
