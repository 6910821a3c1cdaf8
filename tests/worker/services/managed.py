"""Assets and proposals as the database caches them, and each click there is about them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from tests.worker.services.conftest import ADMIN, NOW, Outside
from worker.contracts.commands import CommandId
from worker.contracts.proposal_document import proposal_document
from worker.contracts.proposals import (
    ENGINE_VERSION,
    Assessment,
    Confidence,
    Proposal,
    SyntheticEntry,
    Variant,
    VariantName,
    proposal_id_of,
)
from worker.contracts.states import ManagedState
from worker.services.drift import DriftEvidence, DriftService
from worker.services.managed_state import ManagedStateService
from worker.services.proposals import ProposalService
from worker.services.submission import CreatedCommand

CLICK = UUID("0f5d2b9e-9a39-4d0b-8f0e-6f2a3c1b7d11")
OTHER_CLICK = UUID("0f5d2b9e-9a39-4d0b-8f0e-6f2a3c1b7d12")
PROFILE = UUID("b4033597-0f90-4c6a-9b55-2a31648f10d5")
INSTANT = datetime.fromisoformat(NOW)
EVIDENCE = DriftEvidence(expected=Decimal("2"), found=Decimal("1.5"), generation=3)

MANAGED = ManagedState.MANAGED_ACTIVE
PAUSED = ManagedState.PAUSED
DRIFTED = ManagedState.DRIFT_FLAGGED
UNTIL_MANAGED = (
    ManagedState.PROPOSAL_PENDING,
    ManagedState.RISK_PROPOSED,
    ManagedState.APPROVED,
    ManagedState.MANAGED_ACTIVE,
)


def variant(name: VariantName, allocation: str) -> Variant:
    share = Decimal(allocation)
    return Variant(
        name=name,
        allocation_pct=share,
        allocation_cap_pct=share,
        position_value_usdt=share * 10_000,
        quantity=share * 5,
        stop_loss_pct=Decimal("0.04"),
        stop_loss_price=Decimal("1920"),
        take_profit_pct=Decimal("0.08"),
        take_profit_price=Decimal("2160"),
        risk_pct=share * Decimal("0.04"),
        meets_minimum=True,
    )


def proposal_of(asset: str = "ETH", *, confidence: str = "0.81", **changed: Any) -> Proposal:
    """A proposal generated five minutes ago that can be decided for ten minutes more."""
    proposal = Proposal(
        proposal_id=proposal_id_of(asset, CLICK),
        command_id=CommandId(OTHER_CLICK),
        asset=asset,
        intent="trend is up",
        requested_by=ADMIN,
        generated_at=INSTANT - timedelta(minutes=5),
        expires_at=INSTANT + timedelta(minutes=10),
        profile_id=PROFILE,
        profile_version=1,
        market_at=INSTANT - timedelta(minutes=6),
        assessment=Assessment(
            engine=ENGINE_VERSION,
            synthetic_entry=SyntheticEntry(price_usdt=Decimal(2000), quantity=Decimal(2), value_usdt=Decimal(4000)),
            equity_usdt=Decimal(10_000),
            volatility_pct=Decimal("0.02"),
            variants=(
                variant(VariantName.CONSERVATIVE, "0.01"),
                variant(VariantName.BALANCED, "0.03"),
                variant(VariantName.AGGRESSIVE, "0.05"),
            ),
            confidence=Confidence(overall_score=Decimal(confidence), parts={"history": Decimal(confidence)}),
            limits={"max_open_positions": Decimal(4), "min_position_value_usdt": Decimal(10)},
        ),
    )
    return replace(proposal, **changed)


def hold(outside: Outside, asset: str, *, frozen: bool = True) -> None:
    """`asset` is in the cached baseline."""
    outside.rows(
        "INSERT INTO baseline_holdings (asset, quantity, frozen, recorded_at) VALUES (%s, 2, %s, now())", asset, frozen
    )


def walk(outside: Outside, asset: str, *states: ManagedState) -> None:
    """The asset's history leads from frozen through `states`."""
    before = ManagedState.FROZEN
    for state in states:
        outside.rows(
            "INSERT INTO managed_assets_history (asset, state_from, state_to, actor, event_type, ts)"
            " VALUES (%s, %s, %s, 'user:23', 'managed.told', timezone('UTC', now()))",
            asset,
            before.value,
            state.value,
        )
        before = state


def put(
    outside: Outside, proposal: Proposal, *, state: str = "risk_proposed", document: object = ..., **columns: Any
) -> UUID:
    """The proposal's row, `document` in place of its own."""
    content = proposal_document(proposal) if document is ... else document
    row: Mapping[str, Any] = {
        "proposal_id": proposal.proposal_id,
        "asset": proposal.asset,
        "state": state,
        "proposal_json": None if content is None else json.dumps(content),
        "generated_at": proposal.generated_at.replace(tzinfo=None),
        "expires_at": proposal.expires_at.replace(tzinfo=None),
        "requested_by_user_id": ADMIN,
        **columns,
    }
    names, places = ", ".join(row), ", ".join(["%s"] * len(row))
    outside.rows(f"INSERT INTO managed_proposals ({names}) VALUES ({places})", *row.values())
    return proposal.proposal_id


def propose(outside: Outside, proposal: Proposal, **columns: Any) -> UUID:
    """`proposal` stands open: its asset is held, its history says so, and its row is there."""
    hold(outside, proposal.asset)
    walk(outside, proposal.asset, ManagedState.PROPOSAL_PENDING, ManagedState.RISK_PROPOSED)
    return put(outside, proposal, **columns)


def manage(outside: Outside, asset: str, *further: ManagedState) -> None:
    """`asset` came under management and then went through `further`."""
    hold(outside, asset, frozen=False)
    walk(outside, asset, *UNTIL_MANAGED, *further)


def everything_to_click_at(outside: Outside) -> None:
    """ADA is frozen, ETH has an open proposal, BTC is managed and SOL paused."""
    hold(outside, "ADA")
    propose(outside, proposal_of("ETH"))
    manage(outside, "BTC")
    manage(outside, "SOL", PAUSED)


Click = Callable[..., CreatedCommand]


def _approve(engine: Engine, **options: Any) -> CreatedCommand:
    proposal_id = proposal_id_of("ETH", CLICK)
    return ProposalService(engine).create_approve_command(
        proposal_id, options.pop("user", ADMIN), "balanced", {}, "ETH:balanced", False, **options
    )


def _reject(engine: Engine, **options: Any) -> CreatedCommand:
    proposal_id = proposal_id_of("ETH", CLICK)
    user = options.pop("user", ADMIN)
    return ProposalService(engine).create_reject_command(proposal_id, user, "spread too wide", **options)


def _request(engine: Engine, **options: Any) -> CreatedCommand:
    user = options.pop("user", ADMIN)
    return ProposalService(engine).create_request_command("ADA", user, "trend is up", **options)


def _pause(engine: Engine, **options: Any) -> CreatedCommand:
    return ManagedStateService(engine).create_pause_command("BTC", options.pop("user", ADMIN), **options)


def _resume(engine: Engine, **options: Any) -> CreatedCommand:
    return ManagedStateService(engine).create_resume_command("SOL", options.pop("user", ADMIN), **options)


def _release(engine: Engine, **options: Any) -> CreatedCommand:
    user = options.pop("user", ADMIN)
    return ManagedStateService(engine).create_release_command("BTC", user, "keep_frozen", **options)


def _promote(engine: Engine, **options: Any) -> CreatedCommand:
    user = options.pop("user", ADMIN)
    return ManagedStateService(engine).create_promote_dry_run_command(
        "ETH", proposal_id_of("ETH", CLICK), "balanced", user, **options
    )


def _flag(engine: Engine, **options: Any) -> CreatedCommand:
    return DriftService(engine).create_flag_command("BTC", EVIDENCE, **options)


OPERATOR_CLICKS: Mapping[str, Click] = {
    "request_managed_proposal": _request,
    "approve_managed_proposal": _approve,
    "reject_managed_proposal": _reject,
    "pause_managed_asset": _pause,
    "resume_managed_asset": _resume,
    "release_managed_asset": _release,
    "dry_run_promote_managed": _promote,
}
"""By command type, once `everything_to_click_at` holds; options as the services' own, and `user`."""

CLICKS: Mapping[str, Click] = {**OPERATOR_CLICKS, "flag_managed_drift": _flag}
"""All eight; the bot's own has no user."""
