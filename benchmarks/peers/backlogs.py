"""How work comes to each contender: its schema, a backlog of no-op commands, and one command at a time.

Every contender gets the payload of the reference run (contract §5). A backlog starts from empty tables.
"""

import asyncio
import json
from typing import Any, Protocol

import asyncpg
import psycopg
from pgqueuer import Queries
from pgqueuer.db import AsyncpgDriver
from procrastinate import App, SyncPsycopgConnector

from sim.postgres.address import DatabaseAddress
from sim.postgres.template import sqlalchemy_url
from worker.contracts.canonical_json import checksum
from worker.db.migrate import upgrade

TASK = "no_op"
CHUNK = 1000

_SIGNED: dict[str, Any] = {
    "profile_id": "b4033597-0f90-4c6a-9b55-2a31648f10d5",
    "profile_version": 1,
    "requested_by": 23,
    "dry_run": True,
    "environment": "testnet",
    "exchange_connection_id": None,
    "config_summary": {"log_level": "info", "decision_log_verbosity": "full"},
    "risk_settings": {"max_open_positions": 4, "min_position_value_usdt": 10},
}
_RISK_TEXT = (
    '"max_risk_per_trade_pct": 0.005, "max_total_exposure_pct": 0.2, "daily_loss_limit_pct": 0.02, '
    '"weekly_loss_limit_pct": 0.05, "tier_low_allocation_pct": 0.01, "tier_mid_allocation_pct": 0.03, '
    '"tier_high_allocation_pct": 0.05, "cash_reserve_pct": 0.1, "fee_buffer_pct": 0.002, '
)
PAYLOAD = json.dumps({**_SIGNED, "checksum": checksum(_SIGNED), "expires_at": "2026-05-09T09:05:00Z"}).replace(
    '"risk_settings": {', '"risk_settings": {' + _RISK_TEXT
)
"""The reference payload as JSON text, its fractions written out: Python's own encoder would need floats."""

_INSERT = """
INSERT INTO commands (command_id, command_type, subject, payload, idempotency_key, expires_at)
SELECT gen_random_uuid(), 'apply_profile_testnet', 'profile ' || n, %(payload)s::json, 'benchmark ' || n,
       now() + interval '5 minutes'
FROM generate_series(1, %(commands)s) AS n
"""

_ENQUEUE = """
WITH command AS (
    INSERT INTO commands (command_id, command_type, subject, payload, idempotency_key, expires_at)
    SELECT id, 'apply_profile_testnet', id::text, %(payload)s::json, id::text, now() + interval '5 minutes'
    FROM (SELECT gen_random_uuid() AS id) AS made
    RETURNING command_id
), audited AS (
    INSERT INTO audit_events (event_type, command_id) SELECT 'profile.apply.dry_run_requested', command_id FROM command
)
SELECT pg_notify('command_bus', command_id::text) FROM command
"""


class Backlog(Protocol):
    """Where one contender's work lies."""

    def fill(self, commands: int) -> None:
        """Effects: exactly `commands` commands wait, and nothing else is there."""
        ...

    def enqueue_one(self) -> None:
        """Effects: one more command waits, committed, and idle workers were told."""
        ...

    def left(self) -> int:
        """How many commands have not been carried to their end."""
        ...


class StackBacklog:
    """The command bus. A command comes as services write it: its row, its audit event, its wake-up, one transaction."""

    def __init__(self, address: DatabaseAddress) -> None:
        upgrade(sqlalchemy_url(address))
        self._connection = psycopg.connect(address.conninfo(), autocommit=True)
        self._connection.prepare_threshold = 0

    def fill(self, commands: int) -> None:
        """See `Backlog`."""
        self._connection.execute("TRUNCATE commands, command_audit_log, audit_events RESTART IDENTITY")
        self._connection.execute(_INSERT, {"payload": PAYLOAD, "commands": commands})
        self._connection.execute("ANALYZE commands, command_audit_log, audit_events")

    def enqueue_one(self) -> None:
        """See `Backlog`."""
        self._connection.execute(_ENQUEUE, {"payload": PAYLOAD})

    def left(self) -> int:
        """Also counts a command without exactly its two log rows."""
        return _count(
            self._connection,
            "SELECT count(*) FROM commands AS c WHERE status <> 'succeeded' OR result_json IS NULL OR 2 <> "
            "(SELECT count(*) FROM command_audit_log AS l WHERE l.command_id = c.command_id)",
        )


class ProcrastinateBacklog:
    """Procrastinate's tables, filled by its bulk call and, for one command, by its own `defer`."""

    def __init__(self, address: DatabaseAddress) -> None:
        with App(connector=SyncPsycopgConnector(conninfo=address.conninfo())).open() as app:
            app.schema_manager.apply_schema()
        self._app = App(connector=SyncPsycopgConnector(conninfo=address.conninfo()))
        self._app.open()
        self._conninfo = address.conninfo()
        self._connection = psycopg.connect(address.conninfo(), autocommit=True)
        self._payload = json.loads(PAYLOAD)
        self._task = self._app.configure_task(TASK)

    def fill(self, commands: int) -> None:
        """See `Backlog`."""
        self._connection.execute("TRUNCATE procrastinate_jobs, procrastinate_events RESTART IDENTITY CASCADE")
        jobs = [{"payload": self._payload}] * CHUNK
        for begin in range(0, commands, CHUNK):
            self._task.batch_defer(*jobs[: commands - begin])
        self._connection.execute("ANALYZE procrastinate_jobs, procrastinate_events")

    def enqueue_one(self) -> None:
        """See `Backlog`."""
        self._task.defer(payload=self._payload)

    def left(self) -> int:
        """See `Backlog`."""
        return _count(self._connection, "SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'")


class PgQueuerBacklog:
    """PgQueuer's tables. It deletes a finished job and keeps a log row of it."""

    def __init__(self, address: DatabaseAddress) -> None:
        self._conninfo = address.conninfo()
        self._where = {"host": address.host, "port": address.port, "database": address.name, "user": address.user}
        self._password = address.password
        self._connection = psycopg.connect(self._conninfo, autocommit=True)
        asyncio.run(self._with_queries("install"))

    def fill(self, commands: int) -> None:
        """See `Backlog`."""
        self._connection.execute("TRUNCATE pgqueuer, pgqueuer_log RESTART IDENTITY")
        asyncio.run(self._enqueue(commands))
        self._connection.execute("ANALYZE pgqueuer, pgqueuer_log")

    def enqueue_one(self) -> None:
        """See `Backlog`."""
        asyncio.run(self._enqueue(1))

    def left(self) -> int:
        """See `Backlog`."""
        return _count(self._connection, "SELECT count(*) FROM pgqueuer")

    async def _enqueue(self, commands: int) -> None:
        payload = PAYLOAD.encode()
        for begin in range(0, commands, CHUNK):
            size = min(CHUNK, commands - begin)
            await self._with_queries("enqueue", [TASK] * size, [payload] * size, [0] * size)

    async def _with_queries(self, name: str, *arguments: Any) -> None:
        connection = await asyncpg.connect(**self._where, password=self._password)
        try:
            await getattr(Queries(AsyncpgDriver(connection)), name)(*arguments)
        finally:
            await connection.close()


def _count(connection: "psycopg.Connection[Any]", statement: str) -> int:
    row = connection.execute(statement.encode()).fetchone()
    return int(row[0]) if row else -1
