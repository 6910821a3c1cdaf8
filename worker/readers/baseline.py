"""`state/baseline_holdings.json`: what was held of each asset when it was put under management.

Schema 1: `{"schema_version": 1, "generation": G, "recorded_at": T, "command_id": ID, "holdings": {ASSET: {"quantity":
"0.5", "frozen": true, "recorded_at": T, "command_id": ID}}}`. Quantities are decimal strings, times ISO 8601 with a Z.
Source: contract §2, §8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec

from worker.contracts.commands import CommandId
from worker.contracts.payloads import Asset
from worker.contracts.text_forms import DecimalText, TimeText
from worker.readers.document import (
    DamagedFile,
    Generation,
    convert_at,
    entries_of,
    parse_document,
    read_time,
)

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineHolding:
    """One asset of the baseline; `quantity` in units of the asset, `command_id` the command that last changed it."""

    quantity: Decimal
    frozen: bool
    recorded_at: datetime
    command_id: CommandId


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The whole file; `command_id` and `recorded_at` name the command that recorded the baseline."""

    generation: int
    recorded_at: datetime
    command_id: CommandId
    holdings: Mapping[str, BaselineHolding]


class _HoldingOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    quantity: DecimalText
    frozen: bool
    recorded_at: TimeText
    command_id: UUID


class _BaselineOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema_version: int
    generation: Generation
    recorded_at: TimeText
    command_id: UUID
    # Left raw, so that damage inside an entry is reported under the asset's name.
    holdings: dict[str, Any]


def decode_baseline(content: bytes, *, path: Path) -> Baseline:
    """The baseline that `content`, read from `path`, holds.

    Raises: `DamagedFile` with the place of the first thing that does not fit the schema.
    """
    document = parse_document(content, path=path, schema_version=SCHEMA_VERSION)
    whole = convert_at(document, _BaselineOnDisk, path=path, place="$")
    entries = entries_of(whole.holdings, path=path, place="$.holdings", name_type=Asset)
    return Baseline(
        generation=whole.generation,
        recorded_at=read_time(whole.recorded_at, path=path, place="$.recorded_at"),
        command_id=CommandId(whole.command_id),
        holdings=MappingProxyType({asset: _holding(raw, path=path, place=place) for asset, place, raw in entries}),
    )


def _holding(raw: Any, *, path: Path, place: str) -> BaselineHolding:
    entry = convert_at(raw, _HoldingOnDisk, path=path, place=place)
    quantity = Decimal(entry.quantity)
    if quantity == 0:
        # The cache has no row for a holding of nothing.
        raise DamagedFile(path, place=f"{place}.quantity", problem="expected a quantity above zero, found 0")
    return BaselineHolding(
        quantity=quantity,
        frozen=entry.frozen,
        recorded_at=read_time(entry.recorded_at, path=path, place=f"{place}.recorded_at"),
        command_id=CommandId(entry.command_id),
    )
