"""Connections: the database's address is allowed in each of its spellings, and nothing else is."""

import pytest

from sim.postgres.address import DatabaseAddress
from sim.witness.audit import AuditEvent
from sim.witness.network import attempts, forbidden

ON_TCP = DatabaseAddress(host="db.test", port=5433, name="tradingbot_gui", user="gui")
ON_SOCKET = DatabaseAddress(host="/run/pg", port=5433, name="tradingbot_gui", user="gui")


def event(what: str, host: str, port: int | None) -> AuditEvent:
    return AuditEvent(
        at_ns=1, pid=2, actor="worker:w1", what=what, source="x.py:1", detail={"host": host, "port": port}
    )


@pytest.mark.parametrize(
    ("database", "what", "host", "port", "allowed"),
    [
        (ON_TCP, "network.connect", "db.test", 5433, True),
        (ON_TCP, "network.connect", "DB.test.", 5433, True),
        (ON_TCP, "network.connect", "db.test", 443, False),
        (ON_TCP, "network.connect", "testnet.binance.vision", 443, False),
        (ON_TCP, "network.connect", "db.test.evil.com", 5433, False),
        (ON_TCP, "network.resolve", "db.test", None, True),
        (ON_TCP, "network.resolve", "db.test", 5433, True),
        (ON_TCP, "network.resolve", "api.binance.com", None, False),
        (ON_TCP, "network.send", "8.8.8.8", 53, False),
        (ON_TCP, "network.connect", "/run/pg/.s.PGSQL.5433", None, False),
        (ON_SOCKET, "network.connect", "/run/pg/.s.PGSQL.5433", None, True),
        (ON_SOCKET, "network.connect", "/run/pg/.s.PGSQL.5432", None, False),
        (ON_SOCKET, "network.connect", "127.0.0.1", 5433, False),
    ],
)
def test_only_the_database_is_allowed(
    database: DatabaseAddress, what: str, host: str, port: int | None, allowed: bool
) -> None:
    found = forbidden([event(what, host, port)], database)

    assert [(attempt.actor, attempt.host) for attempt in found] == [("worker:w1", host)] * (not allowed)


def test_the_harness_may_name_its_own_socket() -> None:
    told = [event("network.connect", "/run/director.sock", None)]

    assert forbidden(told, ON_SOCKET, also_allowed=("/run/director.sock",)) == ()
    assert len(forbidden(told, ON_SOCKET)) == 1


def test_what_is_no_connection_is_no_attempt() -> None:
    assert attempts([AuditEvent(at_ns=1, pid=2, actor="bot", what="file.open", path="/x")]) == ()
