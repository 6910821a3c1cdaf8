"""Rows that an attempt puts into the bus's database, past every service."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg

from sim.guard.refusal import Layer, refusal
from sim.postgres.address import DatabaseAddress
from sim.stack.given import CAST, NEW_CONNECTION, REFERENCE_PROFILE, TESTNET_CONNECTION, reference_payload
from worker.contracts.canonical_json import checksum, dumps_canonical
from worker.guards.freshness import expiry_text

ADMIN: Final = CAST["day"][0]
CONSTRAINT: Final = "commands_environment_check"

_PUT = """
INSERT INTO commands
    (command_id, command_type, subject, environment, payload, idempotency_key, requested_by, expires_at)
VALUES (%s, 'apply_profile_testnet', %s, %s, %s::json, %s, %s, %s)
"""


def sql(database: DatabaseAddress) -> "psycopg.Connection[Any]":
    """A connection to the database on which each statement commits by itself."""
    return psycopg.connect(database.conninfo(), autocommit=True)


def put(
    connection: "psycopg.Connection[Any]", changed: Mapping[str, Any], *, row: str = "testnet", text: str = ""
) -> None:
    """Effects: a pending dry run in environment `row`, its payload with these fields (`...` leaves one out).

    `text`, a member of a JSON object, stands at the payload's end. Raises: `GuardRefused` where the database refuses.
    """
    found = connection.execute("SELECT now() + interval '5 minutes'").fetchone()
    expires_at: datetime | None = None if found is None else found[0]
    payload = _payload(changed, expires_at, text)
    try:
        connection.execute(_PUT, (uuid4(), str(REFERENCE_PROFILE), row, payload, str(uuid4()), ADMIN, expires_at))
    except psycopg.errors.CheckViolation as error:
        raise refused_by_database(error) from error


def connect_exchange(connection: "psycopg.Connection[Any]", changed: Mapping[str, Any] | None) -> UUID:
    """The id of an exchange connection on testnet but for these columns; None: of one that is gone."""
    connection_id = uuid4()
    if changed is not None:
        connection.execute(NEW_CONNECTION, {"connection_id": connection_id, **TESTNET_CONNECTION, **changed})
    return connection_id


def refused_by_database(error: psycopg.errors.CheckViolation) -> Exception:
    """The database keeps no record but the error that its caller gets: that one is put on record."""
    if error.diag.constraint_name != CONSTRAINT:
        return error
    return refusal(Layer.DATABASE, str(error.diag.message_primary))


def _payload(changed: Mapping[str, Any], expires_at: datetime | None, text: str) -> str:
    fields = reference_payload(REFERENCE_PROFILE, **changed)
    last_wins = {**fields, **(json.loads("{" + text + "}") if text else {})}
    sealed = {**fields, "checksum": checksum(last_wins), "expires_at": expiry_text(expires_at)}
    whole = dumps_canonical(sealed).decode()
    return f"{whole[:-1]}, {text}}}" if text else whole
