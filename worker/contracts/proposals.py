"""A risk proposal: what the engine found for one asset, and the document it is kept as.

Schema 1 of `state/risk_proposals/<proposal_id>.json` and of `managed_proposals.proposal_json`, which hold the same
document; `proposal_document` shows its shape. Decimals are decimal strings, times ISO 8601 with a Z.
Source: contract §2, §8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NewType
from uuid import UUID, uuid5

from worker.contracts.commands import CommandId

ProposalId = NewType("ProposalId", UUID)

SCHEMA_VERSION = 1
ENGINE_VERSION = "risk-proposal-engine-v1"

OPEN_FOR = timedelta(minutes=15)
"""How long a request may wait for its proposal, and then the proposal for its decision. Source: contract §8."""

_NAMESPACE = UUID("6c1f7f0e-6a0b-5a5e-9d3c-0e5f5b0a7a11")
"""Fixed for ever: proposal ids of one click must stay the same."""


class VariantName(StrEnum):
    """The three ways to take a proposal, in ascending risk."""

    CONSERVATIVE = "conservative"
    BALANCED = "balanced"
    AGGRESSIVE = "aggressive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to take the proposal. Shares (`…_pct`) are of 1; prices and values in USDT; `quantity` in the asset.

    `allocation_cap_pct` is the tier's own limit, which `allocation_pct` never exceeds. `risk_pct` is what the stop
    loss would cost, as a share of equity. `meets_minimum` is False where the position would be too small to open.
    """

    name: VariantName
    allocation_pct: Decimal
    allocation_cap_pct: Decimal
    position_value_usdt: Decimal
    quantity: Decimal
    stop_loss_pct: Decimal
    stop_loss_price: Decimal
    take_profit_pct: Decimal
    take_profit_price: Decimal
    risk_pct: Decimal
    meets_minimum: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """How far the engine trusts its own numbers, 0 to 1; `overall_score` is the product of `parts`."""

    overall_score: Decimal
    parts: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticEntry:
    """The paper entry that the variants are computed from; no order is placed."""

    price_usdt: Decimal
    quantity: Decimal
    value_usdt: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What the engine makes of its inputs. `limits` are the risk settings in force, in USDT or as counts."""

    engine: str
    synthetic_entry: SyntheticEntry
    equity_usdt: Decimal
    volatility_pct: Decimal
    variants: tuple[Variant, Variant, Variant]
    confidence: Confidence
    limits: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One proposal as it is kept: whose it is, until when it can be decided, and what the engine found.

    `profile_id` and `profile_version` name the profile whose risk settings the engine used; `market_at` is when the
    market snapshot was made. All times UTC.
    """

    proposal_id: ProposalId
    command_id: CommandId
    asset: str
    intent: str
    requested_by: int | None
    generated_at: datetime
    expires_at: datetime
    profile_id: UUID
    profile_version: int
    market_at: datetime
    assessment: Assessment

    def variant(self, name: str) -> Variant | None:
        """The variant of that name, None if there is none."""
        return next((one for one in self.assessment.variants if one.name.value == name), None)


def proposal_id_of(asset: str, click_id: UUID) -> ProposalId:
    """The id of the proposal that this click requests for `asset`; the same click gives the same id."""
    return ProposalId(uuid5(_NAMESPACE, f"{asset}:{click_id}"))


def expiry_change_id(proposal_id: UUID) -> CommandId:
    """What `managed_state.json` names as the change that expired a proposal: an expiry is no command."""
    return CommandId(uuid5(proposal_id, "expired"))
