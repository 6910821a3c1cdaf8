"""Statements on `config_profiles` and `risk_settings`. Source: contract §3."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.canonical_json import parse
from worker.contracts.states import ProfileStatus, UserRole
from worker.db.session import execute


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProfile:
    """A profile with its risk settings. `config` is as parsed, not validated; `read_at` is the database's now (UTC)."""

    profile_id: UUID
    name: str
    version: int
    status: ProfileStatus
    config: Any
    risk_settings: Mapping[str, Decimal]
    read_at: datetime


_SELECT = """
SELECT p.profile_id, p.name, p.version, p.status, p.config::text,
       (SELECT json_object_agg(r.key, r.value::text ORDER BY r.key)::text
        FROM risk_settings AS r WHERE r.profile_id = p.profile_id) AS risk_settings,
       now()
FROM config_profiles AS p
"""

_FIND = f"{_SELECT} WHERE p.profile_id = %(profile_id)s"
_FIND_FOR = f"""
SELECT found.*, requester.role FROM ({_FIND}) AS found LEFT JOIN users AS requester ON requester.id = %(user_id)s
"""
_ACTIVE = f"{_SELECT} WHERE p.status = 'active' ORDER BY p.profile_id LIMIT %(limit)s"


def find_profile(connection: Connection, profile_id: UUID) -> StoredProfile | None:
    """The profile and all its risk settings as of one snapshot, or None.

    Raises: `Refusal` (`validation/payload_malformed`) when the stored config is not well-formed.
    """
    rows = execute(connection, _FIND, {"profile_id": profile_id})
    return _profile(rows[0]) if rows else None


def find_profile_for(
    connection: Connection, profile_id: UUID, user_id: int | None
) -> tuple[StoredProfile, UserRole | None] | None:
    """The profile as `find_profile` has it, and the role of that user as of the same snapshot, None for nobody's.

    Raises: as `find_profile`.
    """
    rows = execute(connection, _FIND_FOR, {"profile_id": profile_id, "user_id": user_id})
    if not rows:
        return None
    *found, role = rows[0]
    return _profile(found), None if role is None else UserRole(role)


def active_profiles(connection: Connection, limit: int = 2) -> list[StoredProfile]:
    """The active profiles, at most `limit`; two are enough to see that there is more than one.

    Raises: `Refusal` (`validation/payload_malformed`) when a stored config is not well-formed.
    """
    return [_profile(row) for row in execute(connection, _ACTIVE, {"limit": limit})]


def _profile(row: Sequence[Any]) -> StoredProfile:
    found, name, version, status, config, risk_settings, read_at = row
    values = parse(risk_settings) if risk_settings else {}
    return StoredProfile(
        profile_id=found,
        name=name,
        version=version,
        status=ProfileStatus(status),
        config=parse(config),
        risk_settings={key: Decimal(value) for key, value in values.items()},
        read_at=read_at,
    )
