"""Statements that services run on `commands`: insert once per idempotency key, read, cancel. Source: contract §6."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert

from worker.contracts.states import CommandStatus
from worker.db.schema import command_audit_log, commands


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommand:
    """A command about to be written. `payload` holds the signed fields, `expires_at` already in it."""

    command_id: UUID
    command_type: str
    subject: str
    payload: dict[str, Any]
    idempotency_key: str
    requested_by: int | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCommand:
    """A command as the database holds it; `checksum` is the payload's own."""

    command_id: UUID
    command_type: str
    subject: str
    status: CommandStatus
    idempotency_key: str
    requested_by: int | None
    expires_at: datetime | None
    checksum: str | None


def database_now(connection: Connection) -> datetime:
    """The transaction's now (UTC, database clock)."""
    return connection.execute(select(func.now())).scalar_one()


def moment_after(connection: Connection, delay: timedelta | None) -> datetime | None:
    """The transaction's now plus `delay` (UTC, database clock), or None without a delay."""
    if delay is None:
        return None
    return connection.execute(select(func.now() + literal(delay))).scalar_one()


def insert_command(connection: Connection, command: NewCommand) -> bool:
    """True when the row was written; False when its idempotency key was already taken, and nothing was.

    Waits for a transaction that is writing the same key.
    """
    statement = (
        insert(commands)
        .values(
            command_id=command.command_id,
            command_type=command.command_type,
            subject=command.subject,
            status=CommandStatus.PENDING.value,
            environment="testnet",
            payload=command.payload,
            idempotency_key=command.idempotency_key,
            requested_by=command.requested_by,
            expires_at=command.expires_at,
        )
        .on_conflict_do_nothing(index_elements=[commands.c.idempotency_key])
        .returning(commands.c.id)
    )
    return connection.execute(statement).first() is not None


def notify_workers(connection: Connection, command_id: UUID) -> None:
    """Wakes listening workers when this transaction commits."""
    connection.execute(select(func.pg_notify("command_bus", str(command_id))))


def find_by_key(connection: Connection, idempotency_key: str) -> StoredCommand | None:
    """The command that holds `idempotency_key`."""
    return _find(connection, commands.c.idempotency_key == idempotency_key)


def find_command(connection: Connection, command_id: UUID) -> StoredCommand | None:
    """The command with `command_id`."""
    return _find(connection, commands.c.command_id == command_id)


def is_subject_active(connection: Connection, subject: str) -> bool:
    """True while a command of `subject` is claimed or running."""
    active = select(commands.c.id).where(
        commands.c.subject == subject,
        commands.c.status.in_([CommandStatus.CLAIMED.value, CommandStatus.RUNNING.value]),
    )
    return connection.execute(active).first() is not None


def unfinished_commands(connection: Connection, command_ids: Collection[UUID]) -> list[UUID]:
    """Those of the commands that have no result yet: pending, claimed or running. Ids of no command are left out."""
    begun = [CommandStatus.PENDING.value, CommandStatus.CLAIMED.value, CommandStatus.RUNNING.value]
    statement = (
        select(commands.c.command_id)
        .where(commands.c.command_id.in_(list(command_ids)), commands.c.status.in_(begun))
        .order_by(commands.c.id)
    )
    return list(connection.execute(statement).scalars())


def cancel_pending(connection: Connection, command_id: UUID, *, detail: dict[str, Any]) -> bool:
    """True when the command went from `pending` to `cancelled`, with its log row; False when it was not pending."""
    statement = (
        update(commands)
        .where(commands.c.command_id == command_id, commands.c.status == CommandStatus.PENDING.value)
        .values(status=CommandStatus.CANCELLED.value, finished_at=func.now(), updated_at=func.now())
        .returning(commands.c.id)
    )
    if connection.execute(statement).first() is None:
        return False
    connection.execute(
        insert(command_audit_log).values(
            command_id=command_id,
            event_type="cancelled",
            status_from=CommandStatus.PENDING.value,
            status_to=CommandStatus.CANCELLED.value,
            detail=detail,
        )
    )
    return True


def _find(connection: Connection, condition: Any) -> StoredCommand | None:
    row = connection.execute(
        select(
            commands.c.command_id,
            commands.c.command_type,
            commands.c.subject,
            commands.c.status,
            commands.c.idempotency_key,
            commands.c.requested_by,
            commands.c.expires_at,
            text("CASE WHEN json_typeof(payload) = 'object' THEN payload->>'checksum' END AS checksum"),
        ).where(condition)
    ).first()
    if row is None:
        return None
    return StoredCommand(
        command_id=row.command_id,
        command_type=row.command_type,
        subject=row.subject,
        status=CommandStatus(row.status),
        idempotency_key=row.idempotency_key,
        requested_by=row.requested_by,
        expires_at=row.expires_at,
        checksum=row.checksum,
    )
