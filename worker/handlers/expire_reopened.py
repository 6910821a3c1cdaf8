"""Expires an asset that stands under a proposal which was decided or expired: its files came back from before that.

A backup of the home that is older than the database opens a proposal again, in the files only. No sweep of due rows
finds it, for its row is final and is never written again, and no decision is taken from a row: files are the source of
truth. So the asset waits until its proposal's time is over, as the files have it, and is frozen then.
Source: contract §2 ("hybrid C"), §3 (last sentence), §8 ("Expiry").
"""

from datetime import datetime

from sqlalchemy import Connection

from worker.contracts.proposals import OPEN_FOR, Proposal, expiry_change_id
from worker.contracts.reopened import Reopened
from worker.contracts.states import ManagedState
from worker.contracts.transitions import EXPIRE, OPEN_PROPOSAL
from worker.db.audit_store import insert_audit_event
from worker.db.command_store import database_now, is_subject_active
from worker.db.history_store import HistoryRow, insert_history
from worker.db.proposal_store import ProposalRow, final_rows, final_rows_of
from worker.db.session import transaction
from worker.guards.freshness import is_expired
from worker.guards.secrets import scrub
from worker.handlers.expire_proposals import WORKER, HoldingMissing
from worker.handlers.managed_cache import DRIFT_EVENT, CacheDrift, find_drift, readable_proposal
from worker.handlers.managed_standing import Standing, change_asset, look
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset
from worker.readers.pair import read_pair
from worker.readers.proposals import read_proposal
from worker.writers.home_lock import HomeLock

REOPENED_EVENT = "managed.reopened_proposal_expired"


def find_reopened(connection: Connection, home: Home) -> tuple[Reopened, ...]:
    """Every asset that stands under a proposal whose row is final; looked for without the lock.

    Raises: `TransientError`.
    """
    managed_state = read_pair(home).managed_state
    entries = {} if managed_state is None else managed_state.assets
    standing = {
        entry.proposal_id: (asset, entry)
        for asset, entry in entries.items()
        if entry.state in OPEN_PROPOSAL and entry.proposal_id is not None
    }
    if not standing:
        return ()
    now = database_now(connection)
    found = []
    for row in final_rows(connection, list(standing)):
        asset, entry = standing[row.proposal_id]
        proposal = readable_proposal(home, row.proposal_id, asset=asset)
        found.append(
            Reopened(
                asset=asset,
                proposal_id=row.proposal_id,
                expires_at=_expires_at(proposal, row, entry, now),
            )
        )
    return tuple(found)


def expire_reopened(connection: Connection, home: Home, lock: HomeLock, *, reopened: Reopened) -> bool:
    """True when the asset was frozen; False when its time is not over, or somebody else moved it or is at work on it.

    Raises: `TransientError` when the home does not say until when; then nothing has changed.
    Effects: one change of both files, then history and events in one transaction; the final row stays as it is.
    """
    lock.require_held(home)
    asset, proposal_id = reopened.asset, reopened.proposal_id
    standing = look(home, asset)
    entry = standing.entry
    if entry is None or entry.proposal_id != proposal_id or entry.state not in OPEN_PROPOSAL:
        return False
    rows = final_rows(connection, [proposal_id])
    if not rows or is_subject_active(connection, asset):
        return False
    proposal, now = read_proposal(home, proposal_id, asset=asset), database_now(connection)
    if not is_expired(now, _expires_at(proposal, rows[0], entry, now)):
        return False
    if standing.holding is None:
        raise HoldingMissing(home, asset=asset)
    drift = find_drift(connection, home, standing)
    change_id = expiry_change_id(proposal_id)
    after = change_asset(
        home,
        lock,
        before=standing,
        entry=ManagedAsset(state=EXPIRE.ends_in, changed_at=now, command_id=change_id, proposal_id=None),
        holding=standing.holding,
        command_id=change_id,
        attempt=1,
    )
    with transaction(connection):
        if drift.history_state is not entry.state:
            drift.repair(connection)
            _audit(connection, DRIFT_EVENT, drift.metadata())
        _write_expiry(connection, after, rows[0], entry.state)
    return True


def finish_reopened(connection: Connection, standing: Standing, drift: CacheDrift) -> bool:
    """True when the asset was frozen by a worker that died before it had written the rows; they are written now.

    Effects: history, events and whatever else `drift` found, in one transaction.
    """
    entry, state = standing.entry, drift.history_state
    if entry is None or entry.state is not EXPIRE.ends_in or state is None or state not in EXPIRE.begins_in:
        return False
    # The entry names its change only; which proposal that was of, the final ones of the asset tell.
    for row in final_rows_of(connection, standing.asset):
        if entry.command_id == expiry_change_id(row.proposal_id):
            with transaction(connection):
                drift.repair_rows(connection)
                _audit(connection, DRIFT_EVENT, drift.metadata())
                _write_expiry(connection, standing, row, state)
            return True
    return False


def _write_expiry(connection: Connection, after: Standing, row: ProposalRow, state_from: ManagedState) -> None:
    """Effects: the moves of the asset from `state_from` on, and the event."""
    # The proposal has ended before: what expires here is no second ending of it, and does not call itself one.
    told = {"reopened_proposal_id": str(row.proposal_id), "generation": after.pair.generation}
    history = [
        HistoryRow(
            asset=after.asset,
            state_from=before,
            state_to=then,
            actor=WORKER,
            event_type=REOPENED_EVENT,
            metadata=told,
        )
        for before, then in EXPIRE.steps_from(state_from)
    ]
    insert_history(connection, history)
    _audit(connection, REOPENED_EVENT, {"asset": after.asset, "decision": row.decision, **told})


def _expires_at(proposal: Proposal | None, row: ProposalRow, entry: ManagedAsset, now: datetime) -> datetime:
    """Until when the proposal could be decided: its file says so, else its row, else what every proposal is given."""
    if proposal is not None:
        return proposal.expires_at
    # No asset may wait for longer because its entry names a time that has yet to come.
    return row.expires_at or min(entry.changed_at, now) + OPEN_FOR


def _audit(connection: Connection, event_type: str, metadata: dict[str, object]) -> None:
    """An event of no command."""
    insert_audit_event(connection, event_type=event_type, user_id=None, command_id=None, metadata=scrub(metadata))
