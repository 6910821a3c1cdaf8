"""`state/managed_state.json`: the state each asset is in.

Schema 1: `{"schema_version": 1, "generation": G, "assets": {ASSET: {"state": "frozen", "changed_at": T, "command_id":
ID, "proposal_id": ID or null, "terms": {"variant": NAME, "allocation_pct": "0.03", "stop_loss_pct": "0.04",
"take_profit_pct": "0.08"}}}}`. `terms` stand there while the asset is managed, and only then. Source: contract §2, §8.
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
from worker.contracts.payloads import Asset, Share
from worker.contracts.states import ManagedState
from worker.contracts.text_forms import DecimalText, TimeText
from worker.readers.document import (
    Generation,
    convert_at,
    entries_of,
    parse_document,
    read_time,
)

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms an asset is managed: the approved variant, and the shares (of 1) in force."""

    variant: str
    allocation_pct: Decimal
    stop_loss_pct: Decimal
    take_profit_pct: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedAsset:
    """Where one asset stands; `command_id` is the command that last changed it.

    `proposal_id` is the proposal it stands under, from its request until it is frozen again.
    """

    state: ManagedState
    changed_at: datetime
    command_id: CommandId
    proposal_id: UUID | None
    terms: Terms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedAssets:
    """The whole file."""

    generation: int
    assets: Mapping[str, ManagedAsset]


class _TermsOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    variant: Share
    allocation_pct: DecimalText
    stop_loss_pct: DecimalText
    take_profit_pct: DecimalText


class _AssetOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: ManagedState
    changed_at: TimeText
    command_id: UUID
    proposal_id: UUID | None
    terms: _TermsOnDisk | None = None


class _AssetsOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema_version: int
    generation: Generation
    # Left raw, so that damage inside an entry is reported under the asset's name.
    assets: dict[str, Any]


def decode_managed_state(content: bytes, *, path: Path) -> ManagedAssets:
    """The states that `content`, read from `path`, holds.

    Raises: `DamagedFile` with the place of the first thing that does not fit the schema.
    """
    document = parse_document(content, path=path, schema_version=SCHEMA_VERSION)
    whole = convert_at(document, _AssetsOnDisk, path=path, place="$")
    entries = entries_of(whole.assets, path=path, place="$.assets", name_type=Asset)
    return ManagedAssets(
        generation=whole.generation,
        assets=MappingProxyType({asset: _asset(raw, path=path, place=place) for asset, place, raw in entries}),
    )


def _asset(raw: Any, *, path: Path, place: str) -> ManagedAsset:
    entry = convert_at(raw, _AssetOnDisk, path=path, place=place)
    return ManagedAsset(
        state=entry.state,
        changed_at=read_time(entry.changed_at, path=path, place=f"{place}.changed_at"),
        command_id=CommandId(entry.command_id),
        proposal_id=entry.proposal_id,
        terms=None if entry.terms is None else _terms(entry.terms),
    )


def _terms(terms: _TermsOnDisk) -> Terms:
    return Terms(
        variant=terms.variant,
        allocation_pct=Decimal(terms.allocation_pct),
        stop_loss_pct=Decimal(terms.stop_loss_pct),
        take_profit_pct=Decimal(terms.take_profit_pct),
    )
