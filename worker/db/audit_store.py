"""Statements on `audit_events`, the durable trail that no cascade reaches. Source: contract §3, §6."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert

from worker.db.schema import audit_events


def insert_audit_event(
    connection: Connection,
    *,
    event_type: str,
    user_id: int | None,
    command_id: UUID | None,
    metadata: dict[str, Any],
) -> None:
    """One row more in `audit_events`. `metadata` must have passed the scrubber."""
    connection.execute(
        insert(audit_events).values(event_type=event_type, user_id=user_id, command_id=command_id, metadata=metadata)
    )
