"""The claim: a look at the whole bus that takes at most one command. Source: contract §4.

One short statement takes the next command where there is nothing that a sweep might have to do, which is nearly always.
Where it takes none, a second one says why, and takes what the first left for no good reason.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from worker.db.bus_store import COMMAND_COLUMNS, HELD, ClaimedCommand, command_columns, command_of, id_array
from worker.db.due_condition import DUE_CONDITION, MAY_BE_DUE
from worker.db.session import execute


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one look at the bus found: a command or None, and whether a sweep has work to do."""

    command: ClaimedCommand | None
    has_lapsed_lease: bool
    has_overdue: bool
    has_due_proposal: bool


_TAKE = """
    UPDATE commands AS c
    SET status = 'claimed', worker_id = %(worker_id)s, attempts = c.attempts + 1, claimed_at = now(),
        lease_expires_at = now() + interval '60 seconds', updated_at = now()
    WHERE c.id = (
        SELECT candidate.id
        FROM commands AS candidate
        WHERE candidate.status = 'pending'
          AND (candidate.expires_at IS NULL OR now() < candidate.expires_at)
          AND NOT EXISTS (
              SELECT 1 FROM commands AS earlier
              WHERE earlier.subject = candidate.subject AND earlier.status = 'pending'
                AND (earlier.expires_at IS NULL OR now() < earlier.expires_at)
                AND (earlier.created_at, earlier.id) < (candidate.created_at, candidate.id))
          AND NOT EXISTS (
              SELECT 1 FROM commands AS active
              WHERE active.subject = candidate.subject AND active.status IN ('claimed', 'running'))
        ORDER BY candidate.created_at, candidate.id
        LIMIT 1
        FOR UPDATE OF candidate SKIP LOCKED)
"""
"""Takes the next command, unless a condition added to it says otherwise."""

# What a sweep may have to do is asked for in the fewest steps that miss none of it: in the statement below, which tells
# it exactly, each step costs the server a few microseconds even where it finds nothing.
_CLAIM_UNLESS_DUE = f"""{_TAKE}
      AND NOT EXISTS (SELECT 1 FROM commands WHERE status IN ('claimed', 'running') AND lease_expires_at <= now())
      AND NOT EXISTS (SELECT 1 FROM commands WHERE status = 'pending' AND expires_at <= now())
      AND NOT EXISTS (SELECT 1 FROM managed_proposals AS p WHERE {MAY_BE_DUE})
    RETURNING {command_columns("c.payload::text")}
"""

_CLAIM = f"""
WITH lapsed AS (
    SELECT 1 FROM commands
    WHERE status IN ('claimed', 'running') AND id <> ALL (%(set_aside)s::bigint[]) AND lease_expires_at <= now() LIMIT 1
), due AS (
    (SELECT 1 FROM managed_proposals AS p
     WHERE %(looks_for_due)s::boolean AND p.proposal_id <> ALL (%(damaged)s::uuid[]) AND {DUE_CONDITION} LIMIT 1)
    UNION ALL
    SELECT 1 WHERE %(looks_for_due)s::boolean AND %(files_due_at)s::timestamptz <= now()
), claimed AS ({_TAKE}
      AND NOT EXISTS (SELECT 1 FROM lapsed)
      AND NOT EXISTS (SELECT 1 FROM due)
    RETURNING {HELD}
)
SELECT
    EXISTS (SELECT 1 FROM lapsed) AS lapsed,
    EXISTS (SELECT 1 FROM commands WHERE status = 'pending' AND expires_at <= now()) AS overdue,
    EXISTS (SELECT 1 FROM due) AS due,
    {COMMAND_COLUMNS}
FROM (SELECT 1) AS one LEFT JOIN claimed ON true
"""


def claim(
    connection: Connection,
    *,
    worker_id: str,
    set_aside: Collection[int] = (),
    looks_for_due: bool = True,
    damaged: Collection[UUID] = (),
    files_due_at: datetime | None = None,
) -> Claim:
    """The oldest command that may run now, claimed for `worker_id`, or none; none while a sweep has work to do.

    A sweep's work are lapsed leases, those of the rows `set_aside` aside, and with `looks_for_due` due proposals, the
    `damaged` aside, and from the instant `files_due_at` on what is due by the files alone; without it, neither is
    reported.

    Effects: at most one command `pending` → `claimed` with a 60 s lease and a new fencing number; no audit row.
    Raises: `psycopg.errors.UniqueViolation` when another worker claimed the same subject first; try again.
    """
    if files_due_at is None:
        # No statement can see in passing what is due by the files alone.
        rows = execute(connection, _CLAIM_UNLESS_DUE, {"worker_id": worker_id})
        if rows:
            return Claim(command=command_of(rows[0]), has_lapsed_lease=False, has_overdue=False, has_due_proposal=False)
    parameters = {
        "worker_id": worker_id,
        "set_aside": id_array(set_aside),
        "looks_for_due": looks_for_due,
        "damaged": id_array(damaged),
        "files_due_at": files_due_at,
    }
    lapsed, overdue, due, *columns = execute(connection, _CLAIM, parameters)[0]
    return Claim(
        command=None if columns[0] is None else command_of(columns),
        has_lapsed_lease=lapsed,
        has_overdue=overdue,
        has_due_proposal=due,
    )
