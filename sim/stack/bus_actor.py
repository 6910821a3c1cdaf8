"""The bus as somebody with SQL access can reach it, past every service: broken producers and emergency deletes."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from sim.postgres.address import DatabaseAddress
from sim.timeline import Timeline
from worker.contracts.canonical_json import checksum, dumps_canonical, parse
from worker.contracts.commands import CommandType, spec_for

ACTOR = "producer"

_INSERT = """
INSERT INTO commands (command_id, command_type, subject, payload, idempotency_key, requested_by, expires_at)
VALUES (%(command_id)s, %(command_type)s, %(subject)s, %(payload)s::json, %(key)s, %(requested_by)s, %(expires_at)s)
"""
_REQUESTED = "INSERT INTO audit_events (event_type, user_id, command_id, metadata) VALUES (%s, %s, %s, %s::json)"


@dataclass(slots=True)
class BusActor:
    """Puts commands on the bus that no service would make, and takes commands off as an operator with psql would."""

    address: DatabaseAddress
    timeline: Timeline
    connect: "Callable[..., psycopg.Connection[Any]]" = psycopg.connect

    def put_unchecked(
        self,
        command_type: CommandType | str,
        subject: str,
        payload: Any,
        *,
        requested_by: int | None = 23,
        expires_in: timedelta | None = timedelta(minutes=5),
        seal: bool = True,
        command_id: UUID | None = None,
        event: str | None = None,
    ) -> UUID:
        """The id of a pending command with exactly this payload, and its request event; no worker is woken.

        With `seal`, an object gets the row's `expires_at` and a right checksum unless it already carries them; a
        string that is no object is stored as the JSON text it is. `event` names another request event.
        """
        with self.slow_transaction() as put:
            return put(
                command_type,
                subject,
                payload,
                requested_by=requested_by,
                expires_in=expires_in,
                seal=seal,
                command_id=command_id,
                event=event,
            )

    @contextmanager
    def slow_transaction(self) -> Iterator["Put"]:
        """A producer's transaction that begins now and commits at the end of the block; call what it yields to put."""
        with self.connect(self.address.conninfo(), application_name="sim-producer") as connection:
            connection.execute("SELECT now()")
            yield Put(connection=connection, timeline=self.timeline)

    def tamper(self, command_id: UUID, **fields: Any) -> None:
        """Effects: fields of a pending command's payload are replaced, its checksum stays as it was."""
        with self.connect(self.address.conninfo(), application_name="sim-psql") as connection:
            payload = parse(_payload_of(connection, command_id))
            text = dumps_canonical({**payload, **fields}).decode()
            connection.execute("UPDATE commands SET payload = %s::json WHERE command_id = %s", (text, command_id))
        self.timeline.record(actor=ACTOR, kind="bus.tampered", subject=str(command_id), fields=sorted(fields))

    def switch(self, command_id: UUID, **fields: Any) -> None:
        """Effects: fields of a pending command's payload are replaced, and its checksum is that of what it says now."""
        with self.connect(self.address.conninfo(), application_name="sim-psql") as connection:
            payload = parse(_payload_of(connection, command_id))
            text = dumps_canonical(sealed({**payload, **fields})).decode()
            connection.execute("UPDATE commands SET payload = %s::json WHERE command_id = %s", (text, command_id))
        self.timeline.record(actor=ACTOR, kind="bus.tampered", subject=str(command_id), fields=sorted(fields))

    def respell(self, command_id: UUID) -> None:
        """Effects: the payload says the same in other words: other key order, spaces, and `0.200` for `0.2`."""
        with self.connect(self.address.conninfo(), application_name="sim-psql") as connection:
            payload = parse(_payload_of(connection, command_id))
            text = _respelled(payload)
            connection.execute("UPDATE commands SET payload = %s::json WHERE command_id = %s", (text, command_id))
        self.timeline.record(actor=ACTOR, kind="bus.respelled", subject=str(command_id))

    def pad(self, command_id: UUID, to_bytes: int) -> None:
        """Effects: the payload has spaces behind it and `to_bytes` bytes in all; it says what it said."""
        with self.connect(self.address.conninfo(), application_name="sim-psql") as connection:
            connection.execute(
                "UPDATE commands SET payload = rpad(payload::text, %s)::json WHERE command_id = %s",
                (to_bytes, command_id),
            )
        self.timeline.record(actor=ACTOR, kind="bus.padded", subject=str(command_id), to_bytes=to_bytes)

    def change_row(self, command_id: UUID, **columns: Any) -> None:
        """Effects: columns of a command's row are replaced past every service; its payload stays.

        Raises: `psycopg.errors.CheckViolation` where the database itself refuses.
        """
        changes = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in columns.items()
        )
        statement = sql.SQL("UPDATE commands SET {} WHERE command_id = {}").format(changes, sql.Literal(command_id))
        with self.connect(self.address.conninfo(), application_name="sim-psql") as connection:
            connection.execute(statement)
        self.timeline.record(actor=ACTOR, kind="bus.row_changed", subject=str(command_id), columns=sorted(columns))

    def delete(self, command_id: UUID) -> None:
        """Effects: the command is gone, and its log with it; the audit trail stays. The emergency path."""
        with self.connect(self.address.conninfo(), application_name="sim-psql") as connection:
            connection.execute("DELETE FROM commands WHERE command_id = %s", (command_id,))
        self.timeline.record(actor="operator:emergency", kind="bus.deleted", subject=str(command_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Puts commands on the bus inside one open transaction."""

    connection: "psycopg.Connection[Any]"
    timeline: Timeline

    def __call__(
        self,
        command_type: CommandType | str,
        subject: str,
        payload: Any,
        *,
        requested_by: int | None = 23,
        expires_in: timedelta | None = timedelta(minutes=5),
        seal: bool = True,
        command_id: UUID | None = None,
        event: str | None = None,
    ) -> UUID:
        """See `BusActor.put_unchecked`."""
        command_id = command_id or uuid4()
        row = self.connection.execute("SELECT now() + %s::interval", (expires_in,)).fetchone()
        expires_at = row[0] if row else None
        self.connection.execute(
            _INSERT,
            {
                "command_id": command_id,
                "command_type": str(command_type),
                "subject": subject,
                "payload": payload if isinstance(payload, str) else _text(payload, expires_at, seal=seal),
                "key": f"unchecked:{command_id}",
                "requested_by": requested_by,
                "expires_at": expires_at,
            },
        )
        spec = spec_for(str(command_type))
        usual = f"unknown.{command_type}_requested" if spec is None else spec.requested_event
        self.connection.execute(_REQUESTED, (event or usual, requested_by, command_id, '{"unchecked": true}'))
        self.timeline.record(
            actor=ACTOR, kind="bus.put_unchecked", subject=str(command_id), command_type=str(command_type)
        )
        return command_id


def sealed(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` with the checksum of their content."""
    return {**fields, "checksum": checksum(fields)}


def _payload_of(connection: "psycopg.Connection[Any]", command_id: UUID) -> str:
    row = connection.execute("SELECT payload::text FROM commands WHERE command_id = %s", (command_id,)).fetchone()
    if row is None:
        raise LookupError(f"no command {command_id}")
    return str(row[0])


def _respelled(value: Any) -> str:
    """`value` as other JSON text of the same content."""
    match value:
        case dict():
            items = sorted(value.items(), reverse=True)
            return "{ " + " , ".join(f"{json.dumps(key)} : {_respelled(item)}" for key, item in items) + " }"
        case Decimal():
            return f"{value:f}00"
        case _:
            return json.dumps(value)


def _text(payload: Any, expires_at: Any, *, seal: bool) -> str:
    if seal and isinstance(payload, dict):
        payload = payload if "checksum" in payload else sealed(payload)
        iso = None if expires_at is None else expires_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        payload = {"expires_at": iso, **payload}
    return dumps_canonical(payload).decode()
