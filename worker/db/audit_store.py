"""Statements on `audit_events`, the durable trail that no cascade reaches. Source: contract §3, §6."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert

from worker.db.schema import audit_events
from worker.db.session import execute, json_text

_INSERT_NEWS = """
INSERT INTO audit_events (event_type, metadata)
SELECT %(event_type)s, r.metadata
FROM ROWS FROM (json_to_recordset(%(rows)s::json) AS (subject text, metadata json)) WITH ORDINALITY
    AS r (subject, metadata, place)
WHERE NOT EXISTS (
    SELECT 1 FROM audit_events AS e WHERE e.event_type = %(event_type)s AND e.metadata ->> %(name)s = r.subject)
ORDER BY r.place
RETURNING metadata ->> %(name)s
"""


def insert_news(
    connection: Connection, *, event_type: str, name: str, rows: Sequence[Mapping[str, Any]]
) -> frozenset[str]:
    """Of `rows`, each the metadata of an event of no command, those whose value of `name` no such event tells of yet.

    `rows` must have passed the scrubber. Two writers must not tell of one thing at once: let both lock its row first.

    Effects: one row more in `audit_events` for each that is returned.
    """
    told = [{"subject": row[name], "metadata": dict(row)} for row in rows]
    found = execute(connection, _INSERT_NEWS, {"event_type": event_type, "name": name, "rows": json_text(told)})
    return frozenset(row[0] for row in found)


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
