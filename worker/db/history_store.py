"""Statements on `managed_assets_history`: one row per move of an asset, the latest of which says where it stands.

`ts` holds UTC without a zone. Source: contract §3, §6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.canonical_json import parse
from worker.contracts.states import ManagedState
from worker.db.session import execute, json_text


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One move of an asset. `metadata` holds plain JSON values, scrubbed already."""

    asset: str
    state_from: ManagedState | None
    state_to: ManagedState
    actor: str
    event_type: str
    metadata: dict[str, Any] | None = None


# A database clock that was set back must not make an older row the latest: an asset's rows never go back in time.
_INSERT = """
INSERT INTO managed_assets_history (asset, state_from, state_to, actor, event_type, metadata_json, ts)
SELECT r.asset, r.state_from, r.state_to, r.actor, r.event_type, r.metadata,
       greatest(timezone('UTC', now()), (SELECT max(h.ts) FROM managed_assets_history AS h WHERE h.asset = r.asset))
FROM ROWS FROM (json_to_recordset(%(rows)s::json)
    AS (asset text, state_from text, state_to text, actor text, event_type text, metadata json)) WITH ORDINALITY
    AS r (asset, state_from, state_to, actor, event_type, metadata, place)
ORDER BY r.place
"""

_STATE = """
SELECT coalesce(
    (SELECT state_to FROM managed_assets_history WHERE asset = %(asset)s ORDER BY ts DESC, id DESC LIMIT 1),
    (SELECT 'frozen' FROM baseline_holdings WHERE asset = %(asset)s))
"""

_HISTORY = """
SELECT asset, state_from, state_to, actor, event_type, metadata_json::text
FROM managed_assets_history WHERE asset = %(asset)s ORDER BY ts, id
"""

# Left alone: an asset whose changer has not ended (its retry writes the rows), or whose proposal is open (the sweep).
_LAGGING = """
SELECT entry.asset
FROM json_to_recordset(%(entries)s::json) AS entry (asset text, state text, command_id uuid)
LEFT JOIN baseline_holdings AS holding ON holding.asset = entry.asset
WHERE (entry.state <> coalesce((SELECT h.state_to FROM managed_assets_history AS h WHERE h.asset = entry.asset
                                ORDER BY h.ts DESC, h.id DESC LIMIT 1), 'frozen')
       OR (entry.state = 'frozen' AND holding.frozen IS NOT TRUE))
  AND NOT EXISTS (SELECT 1 FROM commands AS c
                  WHERE c.command_id = entry.command_id AND c.status IN ('pending', 'claimed', 'running'))
  AND NOT EXISTS (SELECT 1 FROM commands AS c WHERE c.subject = entry.asset AND c.status IN ('claimed', 'running'))
  AND NOT EXISTS (SELECT 1 FROM managed_proposals AS p
                  WHERE p.asset = entry.asset AND p.state IN ('proposal_pending', 'risk_proposed')
                    AND p.decided_at IS NULL)
ORDER BY entry.asset
"""


def lagging_assets(connection: Connection, entries: Mapping[str, tuple[ManagedState, UUID]]) -> list[str]:
    """Of these assets, by state and last changer, those that services take to stand elsewhere, or not to be there.

    Assets that a command at work, a retry to come or a sweep will tell of are left out.
    """
    told = [
        {"asset": asset, "state": state.value, "command_id": str(command_id)}
        for asset, (state, command_id) in entries.items()
    ]
    return [row[0] for row in execute(connection, _LAGGING, {"entries": json_text(told)})] if told else []


def insert_history(connection: Connection, rows: Sequence[HistoryRow]) -> None:
    """Effects: `rows`, in their order, at the end of their assets' histories; `ts` is the database's now."""
    if rows:
        execute(connection, _INSERT, {"rows": json_text([_fields(row) for row in rows])})


def asset_state(connection: Connection, asset: str) -> ManagedState | None:
    """Where `asset` stands by its history; without any it is frozen if it is in the baseline, else None."""
    found = execute(connection, _STATE, {"asset": asset})[0][0]
    return None if found is None else ManagedState(found)


def history_of(connection: Connection, asset: str) -> list[HistoryRow]:
    """The asset's moves, oldest first."""
    return [
        HistoryRow(
            asset=row[0],
            state_from=None if row[1] is None else ManagedState(row[1]),
            state_to=ManagedState(row[2]),
            actor=row[3],
            event_type=row[4],
            metadata=None if row[5] is None else parse(row[5]),
        )
        for row in execute(connection, _HISTORY, {"asset": asset})
    ]


def _fields(row: HistoryRow) -> dict[str, Any]:
    return {
        "asset": row.asset,
        "state_from": row.state_from,
        "state_to": row.state_to,
        "actor": row.actor,
        "event_type": row.event_type,
        "metadata": row.metadata,
    }
