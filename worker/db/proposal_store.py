"""Statements on `managed_proposals`, the cache of `state/risk_proposals/`. Source: contract §3, §8.

The columns hold UTC without a zone; here every time is aware. A row whose `decided_at` is set is never updated again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.canonical_json import parse
from worker.contracts.errors import Refusal
from worker.contracts.proposal_document import proposal_document
from worker.contracts.proposals import Proposal
from worker.contracts.states import ManagedState
from worker.db.bus_store import id_array
from worker.db.due_condition import DUE_CONDITION, WITHOUT_REQUEST
from worker.db.session import execute, json_text

MAX_DUE = 100
"""How many due proposals one sweep takes; the rest waits for the next. Source: contract §8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRow:
    """One row of the cache; times in UTC.

    `document` is the JSON as parsed, not validated; where it cannot be read exactly (a number of too many digits, say)
    it is the text itself, which is no document either.
    """

    proposal_id: UUID
    asset: str
    state: ManagedState
    document: Any
    generated_at: datetime | None
    expires_at: datetime | None
    decided_at: datetime | None
    decision: str | None
    requested_by_user_id: int | None
    decided_by_user_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueProposal:
    """A row that a sweep must settle, at the database's `now` (UTC).

    `is_without_request` says that the command which requested it failed, expired or was cancelled.
    """

    row: ProposalRow
    now: datetime
    is_without_request: bool


_COLUMNS = """
    p.proposal_id, p.asset, p.state, p.proposal_json::text, timezone('UTC', p.generated_at),
    timezone('UTC', p.expires_at), timezone('UTC', p.decided_at), p.decision, p.requested_by_user_id,
    p.decided_by_user_id
"""

_FIND = f"SELECT {_COLUMNS} FROM managed_proposals AS p WHERE p.proposal_id = %(proposal_id)s"

_IS_FINAL = "(p.decided_at IS NOT NULL OR p.state = 'expired')"

_FINAL = f"""
SELECT {_COLUMNS} FROM managed_proposals AS p
WHERE p.proposal_id = ANY (%(proposal_ids)s::uuid[]) AND {_IS_FINAL}
ORDER BY p.proposal_id
"""

_FINAL_OF = f"""
SELECT {_COLUMNS} FROM managed_proposals AS p
WHERE p.asset = %(asset)s AND {_IS_FINAL}
ORDER BY p.proposal_id
"""

_OPEN_OF = f"""
SELECT {_COLUMNS} FROM managed_proposals AS p
WHERE p.asset = %(asset)s AND p.state IN ('proposal_pending', 'risk_proposed') AND p.decided_at IS NULL
ORDER BY p.created_at, p.proposal_id
LIMIT 1
"""

_DUE = f"""
SELECT {_COLUMNS} FROM managed_proposals AS p
WHERE p.proposal_id <> ALL (%(set_aside)s::uuid[]) AND {DUE_CONDITION}
ORDER BY p.updated_at NULLS FIRST, p.expires_at, p.proposal_id
LIMIT {MAX_DUE}
"""

# Locked in one order, so that two sweeps of the same rows wait for each other and never crosswise.
_LOCK = """
SELECT p.proposal_id FROM managed_proposals AS p
WHERE p.proposal_id = ANY (%(proposal_ids)s::uuid[])
ORDER BY p.proposal_id FOR NO KEY UPDATE
"""

_POSTPONE = """
UPDATE managed_proposals AS p SET updated_at = timezone('UTC', now())
WHERE p.proposal_id = ANY (%(proposal_ids)s::uuid[]) AND p.decided_at IS NULL
  AND p.state IN ('proposal_pending', 'risk_proposed')
"""

_DUE_NOW = f"""
SELECT {_COLUMNS}, now(), ({WITHOUT_REQUEST})
FROM managed_proposals AS p
WHERE p.proposal_id = %(proposal_id)s AND {DUE_CONDITION}
"""

_EXPIRE_REQUESTED = """
UPDATE managed_proposals AS p SET state = 'expired', updated_at = timezone('UTC', now())
FROM commands AS request
WHERE request.command_id = %(command_id)s AND request.idempotency_key = 'mh:request:' || p.proposal_id::text
  AND p.decided_at IS NULL AND p.state = 'proposal_pending'
RETURNING p.proposal_id
"""

_INSERT_PENDING = """
INSERT INTO managed_proposals
    (proposal_id, asset, state, expires_at, requested_by_user_id, created_at, updated_at)
VALUES (%(proposal_id)s, %(asset)s, 'proposal_pending', timezone('UTC', %(expires_at)s::timestamptz),
        %(requested_by)s, timezone('UTC', now()), timezone('UTC', now()))
ON CONFLICT (proposal_id) DO NOTHING
RETURNING proposal_id
"""

# A user who was deleted meanwhile is nobody, as the foreign key says, and no error. The lock keeps a deletion under way
# from coming between the look and the insert.
_ROW_OF_THE_FILE = """
INSERT INTO managed_proposals AS p
    (proposal_id, asset, state, proposal_json, generated_at, expires_at, decided_at, decision,
     requested_by_user_id, decided_by_user_id, created_at, updated_at)
VALUES (%(proposal_id)s, %(asset)s, %(state)s, %(document)s::json,
        timezone('UTC', %(generated_at)s::timestamptz), timezone('UTC', %(expires_at)s::timestamptz),
        CASE WHEN %(decision)s::text IS NOT NULL THEN timezone('UTC', now()) END, %(decision)s,
        (SELECT id FROM users WHERE id = %(requested_by)s::bigint FOR KEY SHARE),
        (SELECT id FROM users WHERE id = %(decided_by)s::bigint FOR KEY SHARE),
        timezone('UTC', now()), timezone('UTC', now()))
ON CONFLICT (proposal_id) DO UPDATE SET
    asset = excluded.asset, state = excluded.state, proposal_json = excluded.proposal_json,
    generated_at = excluded.generated_at, expires_at = excluded.expires_at, decided_at = excluded.decided_at,
    decision = excluded.decision, decided_by_user_id = excluded.decided_by_user_id, updated_at = excluded.updated_at
WHERE p.decided_at IS NULL AND p.state = ANY (%(from_states)s::text[])
  AND (p.state <> 'expired' OR excluded.decided_at IS NOT NULL OR excluded.expires_at > timezone('UTC', now()))
RETURNING p.proposal_id
"""

_EXPIRE = """
UPDATE managed_proposals SET state = 'expired', updated_at = timezone('UTC', now())
WHERE proposal_id = %(proposal_id)s AND decided_at IS NULL AND state IN ('proposal_pending', 'risk_proposed')
RETURNING proposal_id
"""

_OPEN = ("proposal_pending", "risk_proposed")
_ANY = tuple(state.value for state in ManagedState)


def find_proposal(connection: Connection, proposal_id: UUID) -> ProposalRow | None:
    """The row of that proposal, or None."""
    return _first(execute(connection, _FIND, {"proposal_id": proposal_id}))


def final_rows(connection: Connection, proposal_ids: Collection[UUID]) -> list[ProposalRow]:
    """The rows of these proposals that were decided or expired."""
    return [_row(row) for row in execute(connection, _FINAL, {"proposal_ids": id_array(proposal_ids)})]


def final_rows_of(connection: Connection, asset: str) -> list[ProposalRow]:
    """The asset's rows that were decided or expired."""
    return [_row(row) for row in execute(connection, _FINAL_OF, {"asset": asset})]


def open_proposal_of(connection: Connection, asset: str) -> ProposalRow | None:
    """The asset's undecided proposal that is `proposal_pending` or `risk_proposed` (the oldest of several), or None."""
    return _first(execute(connection, _OPEN_OF, {"asset": asset}))


def due_proposals(connection: Connection, *, set_aside: Collection[UUID] = ()) -> list[ProposalRow]:
    """The rows that a sweep must settle, without those `set_aside`; at most 100, the longest unwritten first.

    Of rows written at one time, the one that expired first comes first; those that were postponed come last.
    """
    rows = execute(connection, _DUE, {"set_aside": id_array(set_aside)})
    return [_row(row) for row in rows]


def lock_rows(connection: Connection, proposal_ids: Collection[UUID]) -> None:
    """Effects: nobody else writes these rows, open or decided, before the commit. Call it inside a transaction."""
    execute(connection, _LOCK, {"proposal_ids": id_array(proposal_ids)})


def postpone(connection: Connection, proposal_ids: Collection[UUID]) -> None:
    """Effects: these open rows were written now, and nothing else of them changed. Call it under `lock_rows`."""
    execute(connection, _POSTPONE, {"proposal_ids": id_array(proposal_ids)})


def due_now(connection: Connection, proposal_id: UUID) -> DueProposal | None:
    """The row if a sweep must still settle it; to be asked again once the home lock is held."""
    rows = execute(connection, _DUE_NOW, {"proposal_id": proposal_id})
    if not rows:
        return None
    *columns, now, is_without_request = rows[0]
    return DueProposal(row=_row(columns), now=now, is_without_request=is_without_request)


def expire_requested(connection: Connection, *, command_id: UUID) -> bool:
    """True when the pending proposal that this very command requested, by its idempotency key, became `expired`."""
    return bool(execute(connection, _EXPIRE_REQUESTED, {"command_id": command_id}))


def insert_pending(
    connection: Connection, *, proposal_id: UUID, asset: str, requested_by: int | None, expires_at: datetime
) -> bool:
    """True when a row `proposal_pending` without a document was written; False when that id has a row already."""
    parameters = {
        "proposal_id": proposal_id,
        "asset": asset,
        "requested_by": requested_by,
        "expires_at": expires_at,
    }
    return bool(execute(connection, _INSERT_PENDING, parameters))


def record_generated(connection: Connection, *, proposal: Proposal) -> bool:
    """True when the row holds the generated proposal, `risk_proposed`; a lost row is written anew.

    False, and nothing changed, for a row that is final already.
    """
    return _write(connection, proposal, ManagedState.RISK_PROPOSED, from_states=_OPEN)


def correct_row(connection: Connection, *, proposal: Proposal) -> bool:
    """True when the row says again what the proposal's file says: open, with the file's document and times.

    For an asset that stands under this proposal, whatever the row says and also when it is lost. False, and nothing
    changed, for a row that was decided, and for one that expired if the proposal's time is over.
    """
    return _write(connection, proposal, ManagedState.RISK_PROPOSED, from_states=_ANY)


def record_decision(
    connection: Connection, *, proposal: Proposal, decision: ManagedState, decided_by: int | None
) -> bool:
    """True when the row is decided as of now; a lost row is written anew. False, and nothing changed, if it was before.

    Raises: `ValueError` for a `decision` other than approved and rejected.
    """
    if decision not in (ManagedState.APPROVED, ManagedState.REJECTED):
        raise ValueError(f"a proposal is approved or rejected, not {decision.value}")
    return _write(connection, proposal, decision, from_states=_ANY, decision=decision.value, decided_by=decided_by)


def record_expired(connection: Connection, *, proposal_id: UUID) -> bool:
    """True when the row went from open to `expired`, `decided_at` staying NULL; False when it was not open, or lost."""
    return bool(execute(connection, _EXPIRE, {"proposal_id": proposal_id}))


def _write(
    connection: Connection,
    proposal: Proposal,
    state: ManagedState,
    *,
    from_states: Collection[str],
    decision: str | None = None,
    decided_by: int | None = None,
) -> bool:
    parameters = {
        "proposal_id": proposal.proposal_id,
        "asset": proposal.asset,
        "state": state.value,
        "document": json_text(proposal_document(proposal)),
        "generated_at": proposal.generated_at,
        "expires_at": proposal.expires_at,
        "decision": decision,
        "requested_by": proposal.requested_by,
        "decided_by": decided_by,
        "from_states": list(from_states),
    }
    return bool(execute(connection, _ROW_OF_THE_FILE, parameters))


def _first(rows: Sequence[Any]) -> ProposalRow | None:
    return _row(rows[0]) if rows else None


def _row(row: Sequence[Any]) -> ProposalRow:
    return ProposalRow(
        proposal_id=row[0],
        asset=row[1],
        state=ManagedState(row[2]),
        document=_document(row[3]),
        generated_at=row[4],
        expires_at=row[5],
        decided_at=row[6],
        decision=row[7],
        requested_by_user_id=row[8],
        decided_by_user_id=row[9],
    )


def _document(text: str | None) -> Any:
    try:
        return None if text is None else parse(text)
    except Refusal:
        return text
