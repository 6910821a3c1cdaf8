"""Settles one due proposal: expires it and freezes its asset, or puts right a row that its file contradicts.

The asset's entry and the proposal's file decide; the row only says that somebody should look. An expiry is no command:
its change in the files is named `expiry_change_id`, so that whoever comes after a sweep that died in between knows that
only the rows are missing. Source: contract §8, "Expiry".
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.commands import CommandType
from worker.contracts.proposals import OPEN_FOR, Proposal, expiry_change_id
from worker.contracts.states import CommandStatus, ManagedState
from worker.contracts.transitions import EXPIRE, MANAGED, OPEN_PROPOSAL
from worker.db.audit_store import insert_audit_event
from worker.db.command_store import database_now, find_by_key, is_subject_active
from worker.db.history_store import HistoryRow, asset_state, insert_history
from worker.db.proposal_store import (
    DueProposal,
    ProposalRow,
    correct_row,
    due_now,
    find_proposal,
    insert_pending,
    record_decision,
    record_expired,
)
from worker.db.session import transaction
from worker.guards.freshness import is_expired
from worker.guards.secrets import scrub
from worker.handlers.managed_cache import DRIFT_EVENT, decider_of, readable_proposal, row_differences
from worker.handlers.managed_standing import Standing, change_asset, look
from worker.handlers.proposal_judgement import recalled_proposal
from worker.readers.document import DamagedFile
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset
from worker.readers.pair import read_pair
from worker.readers.proposals import read_proposal
from worker.writers.home_lock import HomeLock

EXPIRED_EVENT = "managed.proposal_expired"
WORKER = "worker"

_DECISIONS = {
    CommandType.APPROVE_MANAGED_PROPOSAL.value: ManagedState.APPROVED,
    CommandType.REJECT_MANAGED_PROPOSAL.value: ManagedState.REJECTED,
}

_Moves = tuple[tuple[ManagedState | None, ManagedState], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expiry:
    """The rows of one expiry: the moves of its asset, none if that stands elsewhere, and what the row had wrong."""

    row: ProposalRow
    proposal: Proposal | None
    moves: _Moves
    generation: int
    differences: tuple[str, ...]


class HoldingMissing(DamagedFile):
    """The baseline file does not hold an asset that stands under a proposal; of every other asset it may be whole."""

    def __init__(self, home: Home, *, asset: str) -> None:
        super().__init__(
            home.baseline_holdings,
            place=f"$.holdings.{asset}",
            problem="expected the holding of an asset that stands under a proposal, found none",
        )


def settle_due(connection: Connection, home: Home, lock: HomeLock, *, row: ProposalRow) -> bool:
    """True when the proposal became final; False when only its row was put right, or somebody else came first.

    Raises: `TransientError` when the home does not say what became of it; then nothing has changed.
    Effects: at most one change of both files, then the rows in one transaction.
    """
    lock.require_held(home)
    due = due_now(connection, row.proposal_id)
    if due is None:
        return False
    standing = look(home, due.row.asset)
    entry, proposal_id = standing.entry, due.row.proposal_id
    if entry is not None and entry.command_id == expiry_change_id(proposal_id):
        return _finish_expiry(connection, home, due, standing)
    if entry is None or entry.proposal_id != proposal_id or entry.state not in OPEN_PROPOSAL | MANAGED:
        return _settle_elsewhere(connection, home, standing, due.row)
    if entry.state in MANAGED:
        proposal = recalled_proposal(home, proposal_id, asset=due.row.asset)
        return _record_decision(connection, proposal, due.row, ManagedState.APPROVED)
    return _settle_open(connection, home, lock, due, standing, entry)


def find_strays(connection: Connection, home: Home) -> list[str]:
    """The assets under an open proposal whose row is lost or differs from its file; looked for without the lock.

    Such a row would never become due, or too early or late. An asset with a command at work is left to it.

    Raises: `TransientError`.
    """
    managed_state = read_pair(home).managed_state
    entries = {} if managed_state is None else managed_state.assets
    return [
        asset
        for asset, entry in entries.items()
        if entry.state in OPEN_PROPOSAL and _is_stray(connection, home, asset, entry)
    ]


def restore_row(connection: Connection, home: Home, lock: HomeLock, *, asset: str) -> bool:
    """True when the row of the asset's open proposal was written anew as its file says; it may then be due.

    Where no file can be read, a lost row comes back without a document, for the sweep to find.

    Raises: `TransientError`.
    Effects: one row, and its event.
    """
    lock.require_held(home)
    entry = look(home, asset).entry
    if entry is None or entry.state not in OPEN_PROPOSAL or entry.proposal_id is None:
        return False
    if not _is_stray(connection, home, asset, entry):
        return False
    proposal = readable_proposal(home, entry.proposal_id, asset=asset)
    row = find_proposal(connection, entry.proposal_id)
    if proposal is not None:
        return _correct(connection, proposal, tuple(row_differences(row, proposal)))
    with transaction(connection):
        # No row may outlive its time because the file names one that has yet to come.
        expires_at = min(entry.changed_at, database_now(connection)) + OPEN_FOR
        insert_pending(connection, proposal_id=entry.proposal_id, asset=asset, requested_by=None, expires_at=expires_at)
        _audit(
            connection, DRIFT_EVENT, asset, entry.proposal_id, differences=["managed_proposals: no row, and no file"]
        )
    return True


def _is_stray(connection: Connection, home: Home, asset: str, entry: ManagedAsset) -> bool:
    if entry.proposal_id is None or is_subject_active(connection, asset):
        return False
    row = find_proposal(connection, entry.proposal_id)
    if row is not None and row.decided_at is not None:
        return False
    proposal = readable_proposal(home, entry.proposal_id, asset=asset)
    return row is None if proposal is None else bool(row_differences(row, proposal))


def _settle_open(
    connection: Connection, home: Home, lock: HomeLock, due: DueProposal, standing: Standing, entry: ManagedAsset
) -> bool:
    """The asset stands under the proposal. Its file says until when; without one the row's word is all there is."""
    proposal = read_proposal(home, due.row.proposal_id, asset=due.row.asset)
    expires_at = due.row.expires_at if proposal is None else proposal.expires_at
    differences = () if proposal is None else tuple(row_differences(due.row, proposal))
    if not due.is_without_request and not is_expired(due.now, expires_at):
        if proposal is not None:
            _correct(connection, proposal, differences)
        return False
    if standing.holding is None:
        raise HoldingMissing(home, asset=due.row.asset)
    after = change_asset(
        home,
        lock,
        before=standing,
        entry=ManagedAsset(
            state=EXPIRE.ends_in,
            changed_at=due.now,
            command_id=expiry_change_id(due.row.proposal_id),
            proposal_id=None,
        ),
        holding=standing.holding,
        command_id=expiry_change_id(due.row.proposal_id),
        attempt=1,
    )
    return _write_expiry(
        connection,
        _Expiry(
            row=due.row,
            proposal=proposal,
            moves=EXPIRE.steps_from(entry.state),
            generation=after.pair.generation,
            differences=differences,
        ),
    )


def _finish_expiry(connection: Connection, home: Home, due: DueProposal, standing: Standing) -> bool:
    """A sweep died between files and rows; from where the asset came its history still says, or nobody knows."""
    state = asset_state(connection, due.row.asset)
    proposal = readable_proposal(home, due.row.proposal_id, asset=due.row.asset)
    known = state if state in EXPIRE.begins_in else None
    through = EXPIRE.through
    return _write_expiry(
        connection,
        _Expiry(
            row=due.row,
            proposal=proposal,
            moves=((known, through[0]), *pairwise(through)),
            generation=standing.pair.generation,
            differences=() if proposal is None else tuple(row_differences(due.row, proposal)),
        ),
    )


def _settle_elsewhere(connection: Connection, home: Home, standing: Standing, row: ProposalRow) -> bool:
    """The asset does not stand under this proposal: it was decided and the row lost that, or nothing came of it."""
    command = find_by_key(connection, f"mh:decide:{row.proposal_id}")
    decision = _DECISIONS.get(command.command_type) if command is not None else None
    if command is not None and decision is not None and command.status is CommandStatus.SUCCEEDED:
        proposal = recalled_proposal(home, row.proposal_id, asset=row.asset)
        return _record_decision(connection, proposal, row, decision)
    is_frozen = standing.entry is None or standing.entry.state is EXPIRE.ends_in
    # A sweep died between files and rows, and then a baseline replaced its entry: of that move only the history lacks.
    moves = _moves_from(asset_state(connection, row.asset)) if is_frozen else ()
    generation = standing.pair.generation
    return _write_expiry(
        connection, _Expiry(row=row, proposal=None, moves=moves, generation=generation, differences=())
    )


def _moves_from(state: ManagedState | None) -> _Moves:
    """The moves of an expiry that begins in `state`; none where no expiry does."""
    return EXPIRE.steps_from(state) if state is not None and state in EXPIRE.begins_in else ()


def _write_expiry(connection: Connection, expiry: _Expiry) -> bool:
    """False if the row is no longer open.

    Effects: the row, the history, the events, in one transaction; none of them if the row is no longer open.
    """
    row = expiry.row
    told = {"proposal_id": str(row.proposal_id), "generation": expiry.generation}
    history = [
        HistoryRow(
            asset=row.asset,
            state_from=state_from,
            state_to=state_to,
            actor=WORKER,
            event_type=EXPIRED_EVENT,
            metadata=told,
        )
        for state_from, state_to in expiry.moves
    ]
    with transaction(connection):
        if expiry.differences and expiry.proposal is not None:
            correct_row(connection, proposal=expiry.proposal)
            _audit(connection, DRIFT_EVENT, row.asset, row.proposal_id, differences=list(expiry.differences))
        if not record_expired(connection, proposal_id=row.proposal_id):
            return False
        insert_history(connection, history)
        _audit(connection, EXPIRED_EVENT, row.asset, row.proposal_id, generation=expiry.generation)
    return True


def _record_decision(connection: Connection, proposal: Proposal, row: ProposalRow, decision: ManagedState) -> bool:
    difference = f"managed_proposals.state: {decision.value} in the file, {row.state.value} in the row"
    decided_by = decider_of(connection, row.proposal_id)
    with transaction(connection):
        recorded = record_decision(connection, proposal=proposal, decision=decision, decided_by=decided_by)
        _audit(connection, DRIFT_EVENT, row.asset, row.proposal_id, differences=[difference])
    return recorded


def _correct(connection: Connection, proposal: Proposal, differences: tuple[str, ...]) -> bool:
    with transaction(connection):
        corrected = correct_row(connection, proposal=proposal)
        if corrected:
            _audit(connection, DRIFT_EVENT, proposal.asset, proposal.proposal_id, differences=list(differences))
    return corrected


def _audit(connection: Connection, event_type: str, asset: str, proposal_id: UUID, **told: Any) -> None:
    """An event of no command."""
    insert_audit_event(
        connection,
        event_type=event_type,
        user_id=None,
        command_id=None,
        metadata=scrub({"asset": asset, "proposal_id": str(proposal_id), **told}),
    )
