"""Proposals, assets and their histories as a story reads them: from outside, never through a service or a handler."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from sim.stack.rows import Rows
from worker.contracts.states import ManagedState
from worker.readers.baseline import decode_baseline
from worker.readers.document import read_bytes
from worker.readers.home import Home
from worker.readers.managed_state import Terms, decode_managed_state
from worker.services.submission import CreatedCommand

_REQUEST_KEY = "mh:request:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalView:
    """One row of `managed_proposals`, times in UTC; `document` is its proposal as JSON, None before there is one."""

    proposal_id: UUID
    asset: str
    state: ManagedState
    document: dict[str, Any] | None
    generated_at: datetime | None
    expires_at: datetime | None
    decided_at: datetime | None
    decision: str | None
    requested_by: int | None
    decided_by: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetView:
    """One asset as the two files have it: where it stands, under which proposal and terms, and what is recorded.

    `quantity` and `frozen` are the baseline's, the quantity in units of the asset.
    """

    asset: str
    generation: int
    state: ManagedState
    changed_at: datetime
    command_id: UUID
    proposal_id: UUID | None
    terms: Terms | None
    quantity: Decimal
    frozen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveView:
    """One row of `managed_assets_history`; `at` in UTC."""

    state_from: ManagedState | None
    state_to: ManagedState
    actor: str
    event_type: str
    metadata: Mapping[str, Any]
    at: datetime


AnyProposal = UUID | ProposalView | CreatedCommand
"""How a story may name a proposal: by its id, as it was once seen, or by the command that requested it."""


def proposal_id_in(proposal: AnyProposal) -> UUID:
    """The id of the proposal.

    Raises: `LookupError` for a command that requested none.
    """
    match proposal:
        case UUID():
            return proposal
        case ProposalView():
            return proposal.proposal_id
        case CreatedCommand():
            if not proposal.idempotency_key.startswith(_REQUEST_KEY):
                raise LookupError(f"command {proposal.command_id} ({proposal.command_type}) requested no proposal")
            return UUID(proposal.idempotency_key.removeprefix(_REQUEST_KEY))


def view_proposal(rows: Rows, proposal: AnyProposal) -> ProposalView:
    """The proposal's row as it stands now.

    Raises: `LookupError` when there is none.
    """
    proposal_id = proposal_id_in(proposal)
    found = rows.query("SELECT * FROM managed_proposals WHERE proposal_id = %s", proposal_id)
    if not found:
        raise LookupError(f"no proposal {proposal_id}")
    row = found[0]
    return ProposalView(
        proposal_id=row["proposal_id"],
        asset=row["asset"],
        state=ManagedState(row["state"]),
        document=row["proposal_json"],
        generated_at=_utc(row["generated_at"]),
        expires_at=_utc(row["expires_at"]),
        decided_at=_utc(row["decided_at"]),
        decision=row["decision"],
        requested_by=row["requested_by_user_id"],
        decided_by=row["decided_by_user_id"],
    )


def view_asset(home: Path, asset: str) -> AssetView:
    """The asset as both files have it now.

    Raises: `LookupError` when either file, or the asset in it, is not there; `DamagedFile`.
    """
    paths = Home(home)
    contents = (read_bytes(paths.baseline_holdings), read_bytes(paths.managed_state))
    if contents[0] is None or contents[1] is None:
        raise LookupError(f"no baseline in {home} yet")
    holding = decode_baseline(contents[0], path=paths.baseline_holdings).holdings.get(asset)
    managed = decode_managed_state(contents[1], path=paths.managed_state)
    entry = managed.assets.get(asset)
    if holding is None or entry is None:
        raise LookupError(f"no asset {asset} in the baseline")
    return AssetView(
        asset=asset,
        generation=managed.generation,
        state=entry.state,
        changed_at=entry.changed_at,
        command_id=entry.command_id,
        proposal_id=entry.proposal_id,
        terms=entry.terms,
        quantity=holding.quantity,
        frozen=holding.frozen,
    )


def view_history(rows: Rows, asset: str) -> list[MoveView]:
    """The asset's moves, oldest first; a foreign worker's odd metadata is shown as none."""
    found = rows.query("SELECT * FROM managed_assets_history WHERE asset = %s ORDER BY ts, id", asset)
    return [
        MoveView(
            state_from=None if row["state_from"] is None else ManagedState(row["state_from"]),
            state_to=ManagedState(row["state_to"]),
            actor=row["actor"],
            event_type=row["event_type"],
            metadata=row["metadata_json"] if isinstance(row["metadata_json"], dict) else {},
            at=row["ts"].replace(tzinfo=UTC),
        )
        for row in found
    ]


def _utc(at: datetime | None) -> datetime | None:
    """A time of the tables that hold UTC without saying so."""
    return None if at is None else at.replace(tzinfo=UTC)
