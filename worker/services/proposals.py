"""Asks the worker for a risk proposal, and tells it what the operator decided. Source: contract §6, §8."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from worker.contracts.commands import CommandType, UserId
from worker.contracts.errors import ProposalAlreadyDecided, Reason, Refusal
from worker.contracts.managed_errors import ProposalAlreadyOpen, ProposalExpired
from worker.contracts.proposals import OPEN_FOR, Proposal, ProposalId, proposal_id_of
from worker.contracts.states import ManagedState
from worker.contracts.transitions import require_path
from worker.db.baseline_store import lock_holding
from worker.db.command_store import database_now, find_by_key
from worker.db.history_store import asset_state
from worker.db.proposal_store import ProposalRow, find_proposal, insert_pending, open_proposal_of
from worker.guards.decisions import require_approvable, require_unexpired_proposal
from worker.guards.freshness import is_expired
from worker.guards.operator_words import require_words
from worker.services.asset_state import not_in_baseline, require_asset_name
from worker.services.stored_proposals import existing_row, read_document
from worker.services.submission import CreatedCommand, Draft, one_transaction, require_admin, require_testnet, submit


class ProposalService:
    """Requests a proposal for a frozen asset; approves or rejects one that is open."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create_request_command(
        self,
        asset: str,
        user: int,
        intent: str,
        *,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CreatedCommand:
        """The pending `request_managed_proposal` command, or the one that the same click made before.

        The asset's row in the baseline is locked first, so that of two requests for one asset the second sees the
        first. `connection` joins the caller's transaction; without it the rows are committed on return.

        Raises: `EnvironmentNotAllowed` before anything is read; `Refusal` with `validation/user_not_allowed`,
        `state/asset_not_in_baseline`, `state/asset_not_frozen`, `state/illegal_transition`,
        `validation/intent_required` or `validation/secret_found`; `ProposalAlreadyOpen`; `ProposalAlreadyDecided` when
        the click was sent before with other words.
        Effects: one row each in `commands`, `audit_events` and `managed_proposals` (`proposal_pending`, no document);
        none when refused or already there.
        """
        require_testnet(environment)
        click = click_id or uuid4()
        with one_transaction(self._engine, connection) as joined:
            requested_by = require_admin(joined, user)
            name = require_asset_name(asset)
            proposal_id = proposal_id_of(name, click)
            _require_requestable(joined, name, proposal_id)
            words = require_words(
                intent, name="intent", reason=Reason.INTENT_REQUIRED, subject=f"the request for {name}"
            )
            draft = Draft(
                command_type=CommandType.REQUEST_MANAGED_PROPOSAL,
                requested_by=requested_by,
                further={"proposal_id": str(proposal_id), "asset": name, "intent": words},
                key_of=lambda _checksum: f"mh:request:{proposal_id}",
                click_id=click,
                metadata={"asset": name, "proposal_id": str(proposal_id), "intent": words},
                write_row=lambda writing, _command: _write_pending(writing, proposal_id, name, requested_by),
            )
            return submit(joined, draft)

    def create_approve_command(
        self,
        proposal: UUID,
        user: int,
        variant: str,
        overrides: Mapping[str, Decimal] | None,
        hard_confirm: str,
        confidence_override: bool = False,
        *,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CreatedCommand:
        """The pending `approve_managed_proposal` command, or the equal one that came before: one decision wins.

        `overrides` are shares (of 1) that replace the variant's own, none for None. `connection` joins the caller's
        transaction; without it the rows are committed on return.

        Raises: `EnvironmentNotAllowed` before anything is read; `Refusal` (`validation/user_not_allowed`); then, in
        this order, `ProposalNotFound`, `ProposalAlreadyDecided`, `ProposalExpired`, `ProposalNotReadable`, what
        `require_approvable` says; `ProposalAlreadyDecided` once more when another decision holds the key.
        Effects: one row each in `commands` and `audit_events`; none when refused or already there.
        """
        require_testnet(environment)
        with one_transaction(self._engine, connection) as joined:
            requested_by = require_admin(joined, user)
            found = _decidable(joined, proposal)
            shares = {} if overrides is None else overrides
            typed = _text(hard_confirm)
            accepted = confidence_override is True
            chosen = require_approvable(
                found, variant=variant, overrides=shares, hard_confirm=typed, confidence_override=accepted
            )
            told = {"variant": chosen.name.value, "overrides": dict(shares), "confidence_override": accepted}
            further = {**told, "hard_confirm": typed}
            draft = _decision(CommandType.APPROVE_MANAGED_PROPOSAL, found, requested_by, click_id, further, told)
            return submit(joined, draft)

    def create_reject_command(
        self,
        proposal: UUID,
        user: int,
        reason: str,
        *,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CreatedCommand:
        """The pending `reject_managed_proposal` command, or the equal one that came before: one decision wins.

        `connection` joins the caller's transaction; without it the rows are committed on return.

        Raises: `EnvironmentNotAllowed` before anything is read; `Refusal` (`validation/user_not_allowed`); then, in
        this order, `ProposalNotFound`, `ProposalAlreadyDecided`, `ProposalExpired`, `ProposalNotReadable`, `Refusal`
        (`validation/reason_required`, `validation/secret_found`); `ProposalAlreadyDecided` once more when another
        decision holds the key.
        Effects: one row each in `commands` and `audit_events`; none when refused or already there.
        """
        require_testnet(environment)
        with one_transaction(self._engine, connection) as joined:
            requested_by = require_admin(joined, user)
            found = _decidable(joined, proposal)
            words = require_words(
                reason,
                name="reason",
                reason=Reason.REASON_REQUIRED,
                subject=f"the rejection of proposal {found.proposal_id}",
            )
            further = {"reason": words}
            draft = _decision(CommandType.REJECT_MANAGED_PROPOSAL, found, requested_by, click_id, further, further)
            return submit(joined, draft)


def _require_requestable(connection: Connection, asset: str, proposal_id: ProposalId) -> None:
    """Nothing when a proposal for `asset` may be requested now, or was by this very click."""
    holding = lock_holding(connection, asset)
    if holding is None:
        raise not_in_baseline(asset)
    if not holding.frozen:
        raise Refusal(
            Reason.ASSET_NOT_FROZEN,
            f"asset {asset} is managed, expected frozen; release it before you request a new proposal",
        )
    other = open_proposal_of(connection, asset)
    if other is None:
        require_path(asset, asset_state(connection, asset) or ManagedState.FROZEN, "request")
    elif other.proposal_id != proposal_id:
        raise ProposalAlreadyOpen(asset, proposal_id=other.proposal_id, state=other.state.value)


def _write_pending(connection: Connection, proposal_id: ProposalId, asset: str, requested_by: UserId) -> None:
    expires_at = database_now(connection) + OPEN_FOR
    if insert_pending(
        connection, proposal_id=proposal_id, asset=asset, requested_by=requested_by, expires_at=expires_at
    ):
        return
    # Its command is gone, which takes an operator with a database shell; the proposal stays what it is.
    standing = find_proposal(connection, proposal_id)
    raise ProposalAlreadyDecided(
        subject=f"proposal {proposal_id}", found=standing.state.value if standing else "there", expected="new"
    )


def _decidable(connection: Connection, proposal_id: UUID) -> Proposal:
    """The proposal, once it exists, is proposed and undecided, can be read, and has not expired."""
    row = existing_row(connection, proposal_id)
    if row.state is not ManagedState.RISK_PROPOSED or row.decided_at is not None:
        raise _not_open(connection, row)
    now = database_now(connection)
    # The row is what the operator's page went by; the document is the file's, which decides when the command runs.
    if is_expired(now, row.expires_at):
        raise ProposalExpired(row.proposal_id, expires_at=row.expires_at, now=now)
    proposal = read_document(row)
    require_unexpired_proposal(proposal, now)
    return proposal


def _not_open(connection: Connection, row: ProposalRow) -> ProposalAlreadyDecided:
    winner = find_by_key(connection, _decision_key(row.proposal_id)) if row.decided_at is not None else None
    return ProposalAlreadyDecided(
        subject=f"proposal {row.proposal_id}",
        found=row.decision or row.state.value,
        winner=None if winner is None else str(winner.command_id),
        expected="risk_proposed and undecided",
    )


def _decision(
    command_type: CommandType,
    proposal: Proposal,
    requested_by: UserId,
    click_id: UUID | None,
    further: Mapping[str, Any],
    told: Mapping[str, Any],
) -> Draft:
    """A decision of `proposal`; approval and rejection have the same key, so that one of them wins."""
    subject = {"proposal_id": str(proposal.proposal_id), "asset": proposal.asset}
    return Draft(
        command_type=command_type,
        requested_by=requested_by,
        further={**subject, **further},
        key_of=lambda _checksum: _decision_key(proposal.proposal_id),
        click_id=click_id or uuid4(),
        metadata={**subject, **told},
    )


def _text(typed: object) -> str:
    """What was typed; nothing, for a page that sends something else than text."""
    return typed if isinstance(typed, str) else ""


def _decision_key(proposal_id: UUID) -> str:
    return f"mh:decide:{proposal_id}"
