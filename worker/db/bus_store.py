"""The worker's statements on the bus once a command is claimed: start, renew, finish, recover, expire.

Each is one statement, so one commit and one round trip on an autocommit connection; each moves a command only from
the status and fencing number it expects, and says by its rows whether it did. Source: contract §4.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.payloads import MAX_PAYLOAD_BYTES
from worker.contracts.states import CommandStatus
from worker.db.session import execute, json_text

MAX_SWEEP = 100
"""How many overdue or lapsed commands one sweep takes; the rest waits for the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedCommand:
    """A command this worker holds. `attempt` is its fencing number; `payload` is None when too large to read."""

    id: int
    command_id: UUID
    command_type: str
    subject: str
    environment: str
    payload: str | None
    payload_bytes: int
    requested_by: int | None
    attempt: int
    expires_at: datetime | None
    worker_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LapsedLease:
    """A command whose holder let its lease run out."""

    command: ClaimedCommand
    status: CommandStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One row for `command_audit_log`; `detail` holds plain JSON values."""

    event_type: str
    status_from: CommandStatus | None
    status_to: CommandStatus | None
    detail: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One row for `audit_events`; the command's id and user are added. `metadata` is scrubbed already."""

    event_type: str
    metadata: dict[str, Any]


HELD = """
    c.id, c.command_id, c.command_type, c.subject, c.environment, c.payload::text AS payload, c.requested_by,
    c.attempts, c.expires_at, c.worker_id
"""
"""What a statement takes of a command's row `c`, for `COMMAND_COLUMNS` to be selected from."""


def command_columns(payload: str) -> str:
    """What `command_of` reads, of a row whose payload is the text `payload` in SQL."""
    return f"""
    id, command_id, command_type, subject, environment,
    CASE WHEN octet_length({payload}) <= {MAX_PAYLOAD_BYTES} THEN {payload} END AS payload,
    octet_length({payload}) AS payload_bytes, requested_by, attempts, expires_at, worker_id
"""


COMMAND_COLUMNS = command_columns("payload")
"""What `command_of` reads, of `HELD`."""

_START = """
WITH started AS (
    UPDATE commands SET status = 'running', started_at = now(), updated_at = now()
    WHERE id = %(id)s AND status = 'claimed' AND attempts = %(attempt)s
    RETURNING command_id
)
INSERT INTO command_audit_log (command_id, event_type, status_from, status_to, worker_id, detail)
SELECT command_id, 'started', 'claimed', 'running', %(worker_id)s, json_build_object('attempt', %(attempt)s::int)
FROM started
RETURNING created_at
"""

_RENEW = """
UPDATE commands SET lease_expires_at = now() + interval '60 seconds', updated_at = now()
WHERE id = %(id)s AND attempts = %(attempt)s AND status = 'running'
RETURNING now()
"""

_FINISHED = """
WITH finished AS (
    UPDATE commands
    SET status = %(status)s, finished_at = now(), updated_at = now(), lease_expires_at = NULL,
        result_json = %(result)s::json, error_message = %(error_message)s
    WHERE id = %(id)s AND attempts = %(attempt)s AND status = 'running'
    RETURNING command_id, requested_by
)"""

_AUDITED = """, audited AS (
    INSERT INTO audit_events (event_type, user_id, command_id, metadata)
    SELECT r.event_type, f.requested_by, f.command_id, r.metadata
    FROM finished AS f, (VALUES {rows}) AS r (place, event_type, metadata)
    ORDER BY r.place
)"""

_LOGGED = """
INSERT INTO command_audit_log (command_id, worker_id, event_type, status_from, status_to, detail)
SELECT f.command_id, %(worker_id)s, {row}
FROM finished AS f{rows}
RETURNING command_id
"""

_ROW = "r.event_type, r.status_from, r.status_to, r.detail"
_ROWS = """, (VALUES {rows}) AS r (place, event_type, status_from, status_to, detail)
ORDER BY r.place"""
_RESULT_WRITTEN = "'result_written', 'running', %(status)s, NULL::json"

# Chosen in a step of its own: as a subquery of the update, some plans choose anew for each row, and the limit is lost.
_EXPIRE = f"""
WITH chosen AS MATERIALIZED (
    SELECT id FROM commands WHERE status = 'pending' AND expires_at <= now()
    ORDER BY created_at, id LIMIT {MAX_SWEEP} FOR UPDATE SKIP LOCKED
), overdue AS (
    UPDATE commands AS c SET status = 'expired', finished_at = now(), updated_at = now(),
        error_message = 'expiry/command_expired: the command was not claimed before its expiry; request it again'
    FROM chosen
    WHERE c.id = chosen.id
    RETURNING c.id, c.command_id, c.expires_at
)
INSERT INTO command_audit_log (command_id, event_type, status_from, status_to, worker_id, detail)
SELECT command_id, 'expired', 'pending', 'expired', %(worker_id)s, json_build_object('expires_at', expires_at)
FROM overdue ORDER BY id
RETURNING command_id
"""

_LAPSED = f"""
SELECT status, {COMMAND_COLUMNS}
FROM (
    SELECT c.status, {HELD}, c.lease_expires_at
    FROM commands AS c
    WHERE c.status IN ('claimed', 'running') AND c.id <> ALL (%(set_aside)s::bigint[]) AND c.lease_expires_at <= now()
    ORDER BY c.lease_expires_at, c.id
    LIMIT {MAX_SWEEP}
) AS lapsed
ORDER BY lease_expires_at, id
"""

_PUT_BACK = """
WITH returned AS (
    UPDATE commands
    SET status = 'pending', worker_id = NULL, lease_expires_at = NULL, claimed_at = NULL, started_at = NULL,
        updated_at = now()
    WHERE id = %(id)s AND attempts = %(attempt)s AND status = %(status)s AND lease_expires_at <= now()
    RETURNING command_id
)
INSERT INTO command_audit_log (command_id, event_type, status_from, status_to, worker_id, detail)
SELECT command_id, 'lease_expired', %(status)s, 'pending', %(worker_id)s, json_build_object('attempt', %(attempt)s::int)
FROM returned
RETURNING command_id
"""

_GIVE_UP = """
WITH failed AS (
    UPDATE commands
    SET status = 'failed', finished_at = now(), updated_at = now(), lease_expires_at = NULL,
        result_json = %(result)s::json, error_message = %(error_message)s
    WHERE id = %(id)s AND attempts = %(attempt)s AND status = %(status)s AND lease_expires_at <= now()
    RETURNING command_id, requested_by
), audited AS (
    INSERT INTO audit_events (event_type, user_id, command_id, metadata)
    SELECT r.event_type, f.requested_by, f.command_id, r.metadata
    FROM failed AS f, json_to_recordset(%(audit_rows)s::json) AS r (event_type text, metadata json)
)
INSERT INTO command_audit_log (command_id, event_type, status_from, status_to, worker_id, detail)
SELECT command_id, 'lease_expired', %(status)s, 'failed', %(worker_id)s, json_build_object('attempt', %(attempt)s::int)
FROM failed
RETURNING command_id
"""

_TAKE_OVER = f"""
WITH taken AS (
    UPDATE commands AS c
    SET worker_id = %(worker_id)s, attempts = c.attempts + 1, lease_expires_at = now() + interval '60 seconds',
        updated_at = now()
    WHERE c.id = %(id)s AND c.attempts = %(attempt)s AND c.status = 'running' AND c.lease_expires_at <= now()
    RETURNING {HELD}
), logged AS (
    INSERT INTO command_audit_log (command_id, event_type, status_from, status_to, worker_id, detail)
    SELECT command_id, 'lease_taken_over', 'running', 'running', %(worker_id)s,
           json_build_object('attempt', %(attempt)s::int)
    FROM taken
)
SELECT {COMMAND_COLUMNS} FROM taken
"""


def start(connection: Connection, command: ClaimedCommand) -> datetime | None:
    """When `command` began to run (UTC, database clock), or None when it is no longer this worker's.

    Effects: `claimed` → `running` and the log row `started`.
    """
    rows = execute(connection, _START, _mine(command))
    return rows[0][0] if rows else None


def renew(connection: Connection, command: ClaimedCommand) -> datetime | None:
    """The database's now, with the lease extended by 60 s; None when `command` is no longer this worker's."""
    rows = execute(connection, _RENEW, {"id": command.id, "attempt": command.attempt})
    return rows[0][0] if rows else None


def finish(
    connection: Connection,
    command: ClaimedCommand,
    *,
    status: CommandStatus,
    result: dict[str, Any],
    error_message: str | None,
    log_rows: Sequence[LogRow],
    audit_rows: Sequence[AuditRow],
) -> bool:
    """True when the result was written; False when `command` is no longer this worker's, and nothing was.

    Effects: `running` → `status`, the handler's log rows, then `result_written`, and the audit events.
    """
    parameters = _mine(command) | {
        "status": status.value,
        "result": json_text(result),
        "error_message": error_message,
    }
    for place, row in enumerate(log_rows):
        parameters[f"log_event_{place}"] = row.event_type
        parameters[f"log_from_{place}"] = None if row.status_from is None else row.status_from.value
        parameters[f"log_to_{place}"] = None if row.status_to is None else row.status_to.value
        parameters[f"log_detail_{place}"] = json_text(row.detail)
    for place, event in enumerate(audit_rows):
        parameters[f"audit_event_{place}"] = event.event_type
        parameters[f"audit_metadata_{place}"] = json_text(event.metadata)
    return bool(execute(connection, _finish(len(log_rows), len(audit_rows)), parameters))


def expire_overdue(connection: Connection, *, worker_id: str) -> int:
    """How many pending commands past their expiry became `expired`, each with its log row; at most 100."""
    return len(execute(connection, _EXPIRE, {"worker_id": worker_id}))


def lapsed_leases(connection: Connection, *, set_aside: Collection[int] = ()) -> list[LapsedLease]:
    """Commands whose lease has run out, without the rows `set_aside`, oldest lease first; at most 100."""
    rows = execute(connection, _LAPSED, {"set_aside": id_array(set_aside)})
    return [LapsedLease(status=CommandStatus(row[0]), command=command_of(row[1:])) for row in rows]


def put_back(connection: Connection, lapsed: LapsedLease, *, worker_id: str) -> bool:
    """True when the command went back to `pending` with the log row `lease_expired`; False if it moved meanwhile."""
    return bool(execute(connection, _PUT_BACK, _recovery(lapsed, worker_id)))


def give_up(
    connection: Connection,
    lapsed: LapsedLease,
    *,
    worker_id: str,
    result: dict[str, Any],
    error_message: str,
    audit_rows: Sequence[AuditRow],
) -> bool:
    """True when the command was failed by recovery with the log row `lease_expired`; False if it moved meanwhile."""
    parameters = _recovery(lapsed, worker_id) | {
        "result": json_text(result),
        "error_message": error_message,
        "audit_rows": json_text([_audit_fields(row) for row in audit_rows]),
    }
    return bool(execute(connection, _GIVE_UP, parameters))


def take_over(connection: Connection, lapsed: LapsedLease, *, worker_id: str) -> ClaimedCommand | None:
    """The running command under a new fencing number, held by `worker_id`; None if it moved meanwhile."""
    rows = execute(connection, _TAKE_OVER, _recovery(lapsed, worker_id))
    return command_of(rows[0]) if rows else None


def command_of(row: Sequence[Any]) -> ClaimedCommand:
    """The command in a row of `COMMAND_COLUMNS`."""
    return ClaimedCommand(
        id=row[0],
        command_id=row[1],
        command_type=row[2],
        subject=row[3],
        environment=row[4],
        payload=row[5],
        payload_bytes=row[6],
        requested_by=row[7],
        attempt=row[8],
        expires_at=row[9],
        worker_id=row[10],
    )


def id_array(ids: Collection[int] | Collection[UUID]) -> str:
    """`ids` as Postgres writes an array; the driver's own way costs more than the condition it is for."""
    return f"{{{','.join(map(str, ids))}}}"


@cache
def _finish(log_rows: int, audit_rows: int) -> str:
    """The statement that writes a result with so many rows of its handler; `result_written` is the last of its log.

    The rows stand in the statement itself; to read them out of JSON took the server a sixth of the statement's time.
    """
    audited = [f"({place}, %(audit_event_{place})s, %(audit_metadata_{place})s::json)" for place in range(audit_rows)]
    logged = [
        f"({place}, %(log_event_{place})s, %(log_from_{place})s, %(log_to_{place})s, %(log_detail_{place})s::json)"
        for place in range(log_rows)
    ]
    rows = ", ".join([*logged, f"({log_rows}, {_RESULT_WRITTEN})"])
    # A row that stands alone needs no order, which would cost the server a twentieth of the statement's time.
    row, rows = (_ROW, _ROWS.format(rows=rows)) if logged else (_RESULT_WRITTEN, "")
    return (
        _FINISHED + (_AUDITED.format(rows=", ".join(audited)) if audited else "") + _LOGGED.format(row=row, rows=rows)
    )


def _mine(command: ClaimedCommand) -> dict[str, Any]:
    return {"id": command.id, "attempt": command.attempt, "worker_id": command.worker_id}


def _recovery(lapsed: LapsedLease, worker_id: str) -> dict[str, Any]:
    return {
        "id": lapsed.command.id,
        "attempt": lapsed.command.attempt,
        "status": lapsed.status.value,
        "worker_id": worker_id,
    }


def _audit_fields(row: AuditRow) -> dict[str, Any]:
    return {"event_type": row.event_type, "metadata": row.metadata}
