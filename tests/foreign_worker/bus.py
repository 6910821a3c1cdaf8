"""Every statement on the bus. A move that a command is no longer in the state for returns nothing and writes nothing.

All times are the database's; each function is one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from tests.foreign_worker.canonical import Transient, canonical
from tests.foreign_worker.settings import Connection

MAX_PAYLOAD_BYTES = 65_536
MAX_SWEEP = 100
MAX_CLAIM_TRIES = 16

_COLUMNS: LiteralString = """
    id, command_id, command_type, subject, environment,
    CASE WHEN octet_length(payload::text) <= 65536 THEN payload::text END, requested_by, attempts, expires_at, status
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command as it was claimed or found; `attempt` is the fencing number, `payload` None when over 65,536 bytes."""

    id: int
    command_id: UUID
    command_type: str
    subject: str
    environment: str
    payload: str | None
    requested_by: int | None
    attempt: int
    expires_at: datetime | None
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a command ends: the rows its handler adds, and the whole baseline cache where that changes."""

    status: str
    result: Mapping[str, Any]
    error_message: str | None = None
    log_rows: Sequence[tuple[str, Mapping[str, Any] | None]] = ()
    audit_rows: Sequence[tuple[str, Mapping[str, Any]]] = ()
    cache: Sequence[tuple[str, Decimal, bool, datetime]] | None = None


def claim(connection: Connection, worker_id: str) -> Command | None:
    """The oldest command that may run, now `claimed` with a lease of 60 s; None when there is none.

    Raises: `Transient` when another worker was faster each time.
    """
    for _ in range(MAX_CLAIM_TRIES):
        try:
            row = _row(
                connection,
                f"""
                UPDATE commands SET status = 'claimed', worker_id = %(worker_id)s, attempts = attempts + 1,
                    claimed_at = now(), lease_expires_at = now() + interval '60 seconds', updated_at = now()
                WHERE id = (
                    SELECT c.id FROM commands AS c
                    WHERE c.status = 'pending' AND (c.expires_at > now()) IS NOT FALSE AND NOT EXISTS (
                        SELECT FROM commands AS other
                        WHERE other.subject = c.subject AND (
                            other.status IN ('claimed', 'running')
                            OR other.status = 'pending' AND (other.expires_at > now()) IS NOT FALSE
                               AND (other.created_at, other.id) < (c.created_at, c.id)))
                    ORDER BY c.created_at, c.id LIMIT 1 FOR UPDATE OF c SKIP LOCKED)
                RETURNING {_COLUMNS}
                """,
                {"worker_id": worker_id},
            )
        except psycopg.errors.UniqueViolation:
            # Somebody claimed this subject between our look and our write: look again, it is no candidate now.
            continue
        return None if row is None else _command(row)
    raise Transient("io/database_unavailable", "other workers were faster each time")


def start(connection: Connection, command: Command, worker_id: str) -> datetime | None:
    """When the command began to run, or None when it is no longer ours. `claimed` → `running`, log row `started`."""
    with connection.transaction():
        row = _row(
            connection,
            """
            UPDATE commands SET status = 'running', started_at = now(), updated_at = now()
            WHERE id = %(id)s AND status = 'claimed' AND attempts = %(attempt)s RETURNING now()
            """,
            _fence(command),
        )
        if row is not None:
            _log(connection, command, "started", "claimed", "running", worker_id, {"attempt": command.attempt})
    return None if row is None else row[0]


def renew(connection: Connection, command: Command) -> datetime | None:
    """The database's time, the lease extended by 60 s; None when the command is no longer ours."""
    row = _row(
        connection,
        """
        UPDATE commands SET lease_expires_at = now() + interval '60 seconds', updated_at = now()
        WHERE id = %(id)s AND attempts = %(attempt)s AND status = 'running' RETURNING now()
        """,
        _fence(command),
    )
    return None if row is None else row[0]


def finish(connection: Connection, command: Command, ending: Ending, worker_id: str) -> bool:
    """True when the result, its rows and the cache were written together; False when the command is no longer ours."""
    with connection.transaction():
        if not _close(connection, command, ending, "status = 'running'"):
            return False
        for event_type, detail in ending.log_rows:
            _log(connection, command, event_type, "running", "running", worker_id, detail)
        _log(connection, command, "result_written", "running", ending.status, worker_id, None)
        _audit(connection, command, ending)
        if ending.cache is not None:
            connection.execute("DELETE FROM baseline_holdings")
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO baseline_holdings VALUES (%s, %s, %s, %s)", ending.cache)
    return True


def expire_overdue(connection: Connection, worker_id: str) -> None:
    """Pending commands past their expiry, at most 100, become `expired`, each with a log row."""
    with connection.transaction():
        rows = connection.execute(
            f"""
            SELECT {_COLUMNS} FROM commands WHERE status = 'pending' AND expires_at <= now()
            ORDER BY created_at, id LIMIT 100 FOR UPDATE SKIP LOCKED
            """
        ).fetchall()
        for command in map(_command, rows):
            message = "expiry/command_expired: it was not claimed before its expiry; request it again"
            connection.execute(
                """
                UPDATE commands SET status = 'expired', finished_at = now(), updated_at = now(), error_message = %s
                WHERE id = %s
                """,
                (message, command.id),
            )
            expires_at = command.expires_at.isoformat() if command.expires_at else None
            _log(connection, command, "expired", "pending", "expired", worker_id, {"expires_at": expires_at})


def lapsed(connection: Connection) -> list[Command]:
    """Commands whose holder let its lease run out, the oldest lease first; at most 100."""
    rows = connection.execute(
        f"""
        SELECT {_COLUMNS} FROM commands WHERE status IN ('claimed', 'running') AND lease_expires_at <= now()
        ORDER BY lease_expires_at, id LIMIT 100
        """
    ).fetchall()
    return [_command(row) for row in rows]


_LAPSED: LiteralString = "status = %(status)s AND lease_expires_at <= now()"


def put_back(connection: Connection, command: Command, worker_id: str) -> None:
    """A lapsed command is `pending` again, with the log row `lease_expired`; nothing if it moved meanwhile."""
    with connection.transaction():
        row = _row(
            connection,
            f"""
            UPDATE commands SET status = 'pending', worker_id = NULL, lease_expires_at = NULL, claimed_at = NULL,
                started_at = NULL, updated_at = now()
            WHERE id = %(id)s AND attempts = %(attempt)s AND {_LAPSED} RETURNING id
            """,
            _fence(command),
        )
        if row is not None:
            detail = {"attempt": command.attempt}
            _log(connection, command, "lease_expired", command.status, "pending", worker_id, detail)


def give_up(connection: Connection, command: Command, ending: Ending, worker_id: str) -> None:
    """A lapsed command is `failed`, with the log row `lease_expired`; nothing if it moved meanwhile."""
    with connection.transaction():
        if _close(connection, command, ending, _LAPSED):
            detail = {"attempt": command.attempt}
            _log(connection, command, "lease_expired", command.status, "failed", worker_id, detail)
            _audit(connection, command, ending)


def take_over(connection: Connection, command: Command, worker_id: str) -> Command | None:
    """A lapsed running command, still `running`, now ours under a new fencing number; None if it moved meanwhile."""
    with connection.transaction():
        row = _row(
            connection,
            f"""
            UPDATE commands SET worker_id = %(worker_id)s, attempts = attempts + 1, updated_at = now(),
                lease_expires_at = now() + interval '60 seconds'
            WHERE id = %(id)s AND attempts = %(attempt)s AND {_LAPSED} RETURNING {_COLUMNS}
            """,
            _fence(command) | {"worker_id": worker_id},
        )
        if row is not None:
            detail = {"attempt": command.attempt}
            _log(connection, command, "lease_taken_over", "running", "running", worker_id, detail)
    return None if row is None else _command(row)


def read_profile(
    connection: Connection, profile_id: UUID, user_id: int | None
) -> tuple[int, str, str, dict[str, str], datetime, str | None] | None:
    """Version, status, config and risk settings as text, the database's time, and the user's role: one snapshot."""
    row = _row(
        connection,
        """
        SELECT version, status, config::text, array(SELECT key FROM risk_settings AS r
                   WHERE r.profile_id = p.profile_id ORDER BY key),
               array(SELECT value::text FROM risk_settings AS r WHERE r.profile_id = p.profile_id ORDER BY key), now(),
               (SELECT role FROM users WHERE id = %(user_id)s)
        FROM config_profiles AS p WHERE profile_id = %(profile_id)s
        """,
        {"profile_id": profile_id, "user_id": user_id},
    )
    if row is None:
        return None
    version, status, config, keys, values, read_at, role = row
    return version, status, config, dict(zip(keys, values, strict=True)), read_at, role


def read_role(connection: Connection, user_id: int | None) -> str | None:
    """The role of that user; None for nobody's."""
    row = _row(connection, "SELECT role FROM users WHERE id = %(user_id)s", {"user_id": user_id})
    return None if row is None else str(row[0])


def _close(connection: Connection, command: Command, ending: Ending, condition: LiteralString) -> bool:
    statement: LiteralString = f"""
        UPDATE commands SET status = %(ending)s, finished_at = now(), updated_at = now(), lease_expires_at = NULL,
            result_json = %(result)s::json, error_message = %(error_message)s
        WHERE id = %(id)s AND attempts = %(attempt)s AND {condition} RETURNING id
    """
    parameters = {
        "ending": ending.status,
        "result": canonical(dict(ending.result)),
        "error_message": ending.error_message,
    }
    return _row(connection, statement, _fence(command) | parameters) is not None


def _log(
    connection: Connection,
    command: Command,
    event_type: str,
    status_from: str,
    status_to: str,
    worker_id: str,
    detail: Mapping[str, Any] | None,
) -> None:
    connection.execute(
        """
        INSERT INTO command_audit_log (command_id, event_type, status_from, status_to, worker_id, detail)
        VALUES (%s, %s, %s, %s, %s, %s::json)
        """,
        (command.command_id, event_type, status_from, status_to, worker_id, detail and canonical(dict(detail))),
    )


def _audit(connection: Connection, command: Command, ending: Ending) -> None:
    for event_type, metadata in ending.audit_rows:
        # The user is read from the row: it may have been deleted since the claim.
        connection.execute(
            """
            INSERT INTO audit_events (event_type, user_id, command_id, metadata)
            SELECT %s, requested_by, command_id, %s::json FROM commands WHERE id = %s
            """,
            (event_type, canonical(dict(metadata)), command.id),
        )


def _fence(command: Command) -> dict[str, Any]:
    return {"id": command.id, "attempt": command.attempt, "status": command.status}


def _row(connection: Connection, statement: LiteralString, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
    return connection.execute(statement, parameters).fetchone()


def _command(row: tuple[Any, ...]) -> Command:
    names = Command.__dataclass_fields__
    return Command(**dict(zip(names, row, strict=True)))
