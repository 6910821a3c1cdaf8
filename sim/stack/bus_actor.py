"""The bus as somebody with SQL access can reach it, past every service: broken producers and emergency deletes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from sim.postgres.address import DatabaseAddress
from sim.timeline import Timeline
from worker.contracts.canonical_json import checksum, dumps_canonical
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
    ) -> UUID:
        """The id of a pending command with exactly this payload, and its request event.

        With `seal`, an object gets the row's `expires_at` and a right checksum unless it already carries them; a
        string that is no object is stored as the JSON text it is.
        """
        command_id = command_id or uuid4()
        with psycopg.connect(self.address.conninfo(), application_name="sim-producer") as connection:
            row = connection.execute("SELECT now() + %s::interval", (expires_in,)).fetchone()
            expires_at = row[0] if row else None
            text = payload if isinstance(payload, str) else _text(payload, expires_at, seal=seal)
            connection.execute(
                _INSERT,
                {
                    "command_id": command_id,
                    "command_type": str(command_type),
                    "subject": subject,
                    "payload": text,
                    "key": f"unchecked:{command_id}",
                    "requested_by": requested_by,
                    "expires_at": expires_at,
                },
            )
            spec = spec_for(str(command_type))
            event = spec.requested_event if spec is not None else f"unknown.{command_type}_requested"
            connection.execute(_REQUESTED, (event, requested_by, command_id, '{"unchecked": true}'))
        self.timeline.record(
            actor=ACTOR, kind="bus.put_unchecked", subject=str(command_id), command_type=str(command_type)
        )
        return command_id

    def delete(self, command_id: UUID) -> None:
        """Effects: the command is gone, and its log with it; the audit trail stays. The emergency path."""
        with psycopg.connect(self.address.conninfo(), application_name="sim-psql") as connection:
            connection.execute("DELETE FROM commands WHERE command_id = %s", (command_id,))
        self.timeline.record(actor="operator:emergency", kind="bus.deleted", subject=str(command_id))


def sealed(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` with the checksum of their content."""
    return {**fields, "checksum": checksum(fields)}


def _text(payload: Any, expires_at: Any, *, seal: bool) -> str:
    if seal and isinstance(payload, dict):
        payload = payload if "checksum" in payload else sealed(payload)
        iso = None if expires_at is None else expires_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        payload = {"expires_at": iso, **payload}
    return dumps_canonical(payload).decode()
