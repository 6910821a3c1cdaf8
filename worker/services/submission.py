"""The one way a command comes to be: built from the registry, written with its audit event in one transaction.

Every service validates first and submits last, so a refusal has written nothing. Source: contract §4, §5, §6.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from worker.contracts.canonical_json import checksum, dumps_canonical
from worker.contracts.commands import REGISTRY, CommandId, CommandType, UserId, payload_fields
from worker.contracts.errors import EnvironmentNotAllowed, ProposalAlreadyDecided, Reason, Refusal
from worker.contracts.payloads import MAX_PAYLOAD_BYTES, Payload, read_payload
from worker.contracts.states import TESTNET, CommandStatus
from worker.db.audit_store import insert_audit_event
from worker.db.command_store import (
    NewCommand,
    StoredCommand,
    find_by_key,
    insert_command,
    moment_after,
    notify_workers,
)
from worker.db.session import Failure, classify, driver, unavailable
from worker.db.user_store import find_user
from worker.guards.freshness import expiry_text
from worker.guards.network import require_testnet_payload
from worker.guards.requester import require_admin_role
from worker.guards.secrets import scrub

MAX_INSERT_ATTEMPTS = 3
"""A key's holder can vanish between the refused insert and the look at it; only an operator deletes commands."""

_MAX_BIGINT = 2**63 - 1

WriteRow = Callable[[Connection, CommandId], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedCommand:
    """The command a service hands back; `created` is False when an earlier, equal one already held its key."""

    command_id: CommandId
    command_type: str
    status: CommandStatus
    created: bool
    expires_at: datetime | None
    idempotency_key: str
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A validated command about to be written.

    `further` holds the payload fields of its type as plain JSON values (UUIDs as text, numbers as `Decimal` or `int`).
    `key_of` makes the idempotency key from the payload's checksum. `metadata` goes into the audit event, scrubbed.
    `write_row` runs once the command's row is in, in the same transaction, and never for a lost key.
    """

    command_type: CommandType
    requested_by: UserId | None
    further: Mapping[str, Any]
    key_of: Callable[[str], str]
    click_id: UUID
    metadata: Mapping[str, Any] = field(default_factory=dict)
    write_row: WriteRow | None = None


def require_testnet(environment: object) -> None:
    """Nothing when `environment` is exactly `testnet`. Services call it before they read anything.

    Raises: `EnvironmentNotAllowed`.
    """
    if not isinstance(environment, str) or environment != TESTNET:
        raise EnvironmentNotAllowed(environment)


@contextmanager
def one_transaction(engine: Engine, connection: Connection | None) -> Iterator[Connection]:
    """A connection inside one READ COMMITTED transaction: the caller's own, or a new one committed at the end.

    A new one is rolled back unless the block ends well; the caller's is the caller's to end.

    Raises: `TransientError` (`io/database_unavailable`) when the database fails; `ValueError` for a caller's
    connection that could not keep the rows together.
    """
    try:
        if connection is not None:
            _require_joinable(connection)
            yield connection
        else:
            with engine.connect() as own, own.execution_options(isolation_level="READ COMMITTED").begin():
                yield own
    except (DBAPIError, psycopg.Error) as error:
        if classify(error) is Failure.TRANSIENT:
            raise unavailable(error) from error
        raise


def require_admin(connection: Connection, user: object) -> UserId:
    """The id of `user`, who exists and is an admin.

    Raises: `Refusal` (`validation/user_not_allowed`).
    """
    if isinstance(user, bool) or not isinstance(user, int) or not 1 <= user <= _MAX_BIGINT:
        raise Refusal(
            Reason.USER_NOT_ALLOWED, f"user must be the id of a user, found a {type(user).__name__}; sign in again"
        )
    found = find_user(connection, user)
    require_admin_role(user, None if found is None else found.role)
    return UserId(user)


def submit(connection: Connection, draft: Draft) -> CreatedCommand:
    """The command of `draft`, written now, or the earlier one with the same key, type and checksum.

    Effects: one row each in `commands` and `audit_events`, the draft's own row, and a wake-up for the workers; none of
    them when the key was taken.
    Raises: `ProposalAlreadyDecided` when the key belongs to a command of other content; `Refusal` when the payload
    does not fit the registry's schema or the guard; nothing is written then.
    """
    spec = REGISTRY[draft.command_type]
    expires_at = moment_after(connection, spec.expires_after)
    payload = build_payload(draft, expires_at)
    fields = payload_fields(payload)
    command = NewCommand(
        command_id=CommandId(uuid4()),
        command_type=spec.command_type.value,
        subject=spec.subject_of(payload),
        payload=fields,
        idempotency_key=draft.key_of(payload.checksum),
        requested_by=draft.requested_by,
        expires_at=expires_at,
    )
    winner = _insert_or_find(connection, command)
    if winner is not None:
        return _earlier(winner, command, payload.checksum)

    command_id = CommandId(command.command_id)
    if draft.write_row is not None:
        draft.write_row(connection, command_id)
    insert_audit_event(
        connection,
        event_type=spec.requested_event,
        user_id=draft.requested_by,
        command_id=command_id,
        metadata=_metadata(draft, command, payload),
    )
    notify_workers(connection, command_id)
    return CreatedCommand(
        command_id=command_id,
        command_type=command.command_type,
        status=CommandStatus.PENDING,
        created=True,
        expires_at=expires_at,
        idempotency_key=command.idempotency_key,
        checksum=payload.checksum,
    )


def build_payload(draft: Draft, expires_at: datetime | None) -> Payload:
    """The signed payload of `draft`, as the registry's type.

    Raises: `Refusal` with a guard reason, `validation/payload_malformed` (a float, too many digits),
    `validation/schema_violation` or `validation/payload_too_large`.
    """
    fields: dict[str, Any] = {
        **draft.further,
        "requested_by": draft.requested_by,
        "dry_run": True,
        "environment": TESTNET,
        "exchange_connection_id": None,
    }
    require_testnet_payload(fields)
    fields |= {"checksum": checksum(fields), "expires_at": expiry_text(expires_at)}
    size = len(dumps_canonical(fields))
    if size > MAX_PAYLOAD_BYTES:
        raise Refusal(
            Reason.PAYLOAD_TOO_LARGE,
            f"a {draft.command_type.value} payload may have {MAX_PAYLOAD_BYTES} bytes, found {size}; ask for less",
        )
    return read_payload(REGISTRY[draft.command_type].payload_type, fields)


def _insert_or_find(connection: Connection, command: NewCommand) -> StoredCommand | None:
    """None when `command` was inserted, else the command that holds its key."""
    for _ in range(MAX_INSERT_ATTEMPTS):
        if insert_command(connection, command):
            return None
        winner = find_by_key(connection, command.idempotency_key)
        if winner is not None:
            return winner
    raise RuntimeError(
        f"idempotency key {command.idempotency_key} is taken and its command cannot be seen; "
        "services need READ COMMITTED, in which each statement sees what was committed before it"
    )


def _earlier(winner: StoredCommand, command: NewCommand, payload_checksum: str) -> CreatedCommand:
    if winner.command_type != command.command_type or winner.checksum != payload_checksum:
        raise ProposalAlreadyDecided(
            subject=f"idempotency key {command.idempotency_key}", found="used", winner=str(winner.command_id)
        )
    return CreatedCommand(
        command_id=CommandId(winner.command_id),
        command_type=winner.command_type,
        status=winner.status,
        created=False,
        expires_at=winner.expires_at,
        idempotency_key=winner.idempotency_key,
        checksum=payload_checksum,
    )


def _metadata(draft: Draft, command: NewCommand, payload: Payload) -> dict[str, Any]:
    metadata: dict[str, Any] = scrub(
        {
            **draft.metadata,
            "command_type": command.command_type,
            "subject": command.subject,
            "idempotency_key": command.idempotency_key,
            "checksum": payload.checksum,
            "click_id": str(draft.click_id),
            "environment": payload.environment,
            "dry_run": payload.dry_run,
        }
    )
    return metadata


def _require_joinable(connection: Connection) -> None:
    raw = driver(connection)
    if raw.autocommit and raw.info.transaction_status.name != "INTRANS":
        raise ValueError("the connection commits each statement by itself; open a transaction on it first")
    level = connection.get_isolation_level()
    if level != "READ COMMITTED":
        raise ValueError(f"the connection's transaction must be READ COMMITTED, found {level}")
