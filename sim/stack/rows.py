"""The database as the stage reads it: from outside, by plain SQL, over a lent connection. It never writes."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from sim.postgres.address import DatabaseAddress
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

TABLES = (
    "users",
    "commands",
    "command_audit_log",
    "audit_events",
    "config_profiles",
    "risk_settings",
    "bot_statuses",
    "baseline_holdings",
    "managed_proposals",
    "managed_assets_history",
)

_ORDER = {
    "config_profiles": "profile_id",
    "risk_settings": "profile_id, key",
    "baseline_holdings": "asset",
    "managed_proposals": "proposal_id",
}

_WRITTEN_BY = sql.SQL("""
SET lock_timeout = '5ms';
SELECT 'commands' AS name, xmin::text AS version FROM commands
 WHERE command_id = {command_id} AND status = 'pending' AND attempts = 0
UNION ALL
SELECT 'audit_events', xmin::text FROM audit_events WHERE command_id = {command_id} AND event_type ~ 'requested$'
UNION ALL
SELECT 'managed_proposals', p.xmin::text FROM managed_proposals AS p
  JOIN commands AS c ON c.idempotency_key = 'mh:request:' || p.proposal_id::text
 WHERE c.command_id = {command_id} AND p.state = 'proposal_pending' AND p.proposal_json IS NULL;
RESET lock_timeout
""")
"""One round trip, and one transaction: where a lock cannot be had, the timeout is undone with it."""

_WAITING: LiteralString = """
SELECT waiter.pid FROM pg_stat_activity AS waiter
 WHERE waiter.datname = current_database() AND waiter.backend_type = 'client backend'
   AND EXISTS (SELECT FROM unnest(pg_blocking_pids(waiter.pid)) AS blocking (pid)
                 LEFT JOIN pg_stat_activity AS holder ON holder.pid = blocking.pid
                WHERE blocking.pid = 0
                   OR holder.datname = current_database() AND holder.backend_type = 'client backend')
 ORDER BY waiter.pid
"""
"""Who waits for whom: process 0 stands for a prepared transaction, which has no session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandView:
    """One command as it stands. `reason` is the code it failed with, None unless it failed."""

    command_id: UUID
    command_type: str
    status: CommandStatus
    reason: str | None
    error_message: str | None
    result: dict[str, Any] | None
    attempts: int
    worker_id: str | None
    lease_expires_at: datetime | None
    expires_at: datetime | None
    finished_at: datetime | None


class Rows:
    """Reads one stack's database. `lend` gives the connection (autocommit) that is to be asked."""

    def __init__(self, address: DatabaseAddress, lend: "Callable[[], psycopg.Connection[Any]]") -> None:
        self._address, self._lend = address, lend

    def query(self, statement: LiteralString, *parameters: Any) -> list[dict[str, Any]]:
        """The rows of one statement."""
        return self._ask(statement, parameters).fetchall()

    def results_of(self, script: LiteralString | sql.Composed) -> list[dict[str, Any]]:
        """The rows of every statement of a script that returns any, in one round trip."""
        cursor = self._ask(script)
        rows: list[dict[str, Any]] = []
        while True:
            rows += cursor.fetchall() if cursor.description is not None else []
            if not cursor.nextset():
                return rows

    def transactions_of(self, command_id: object) -> dict[str, str] | None:
        """By which transaction each row that a service wrote for the command was written, by table.

        A row that a worker has changed since is left out. None where a table is locked just now.
        """
        statement = _WRITTEN_BY.format(command_id=sql.Literal(command_id))
        try:
            return {row["name"]: row["version"] for row in self.results_of(statement)}
        except psycopg.errors.LockNotAvailable:
            return None

    def scalar(self, statement: LiteralString, *parameters: Any) -> Any:
        """The first value of the first row."""
        rows = self.query(statement, *parameters)
        return next(iter(rows[0].values()))

    def count(self, table: str) -> int:
        """How many rows `table` holds."""
        query = sql.SQL("SELECT count(*) AS n FROM {}").format(sql.Identifier(table))
        row = self._ask(query).fetchone()
        return int(row["n"]) if row else 0

    def dump(self, table: str) -> list[dict[str, Any]]:
        """Every row of `table` in its own order, values as JSON knows them (text for all that has no JSON form).

        None of one of `TABLES` that a downgrade has dropped.
        """
        return self.dumps((table,))[table]

    def dumps(self, tables: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """As `dump`, of each table, in one round trip and so as they are at one moment."""
        try:
            return self._dumped(tables)
        except psycopg.errors.UndefinedTable:
            there = [table for table in tables if table not in TABLES or self._is_there(table)]
            found = self._dumped(there) if there else {}
            return {table: found.get(table, []) for table in tables}

    def _dumped(self, tables: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        cursor = self._ask(b";".join(map(_all_of, tables)))
        found = {}
        for table in tables:
            found[table] = [{name: _plain(value) for name, value in row.items()} for row in cursor]
            cursor.nextset()
        return found

    def _is_there(self, table: str) -> bool:
        return bool(self.scalar("SELECT to_regclass(%s) IS NOT NULL", f"public.{table}"))

    def command(self, command_id: UUID) -> CommandView:
        """The command with `command_id`.

        Raises: `LookupError` when there is none.
        """
        rows = self.query("SELECT * FROM commands WHERE command_id = %s", command_id)
        if not rows:
            raise LookupError(f"no command {command_id}")
        row = rows[0]
        result = row["result_json"]
        reason = result.get("reason") if isinstance(result, dict) else None
        if reason is None and row["error_message"] and row["status"] in ("failed", "expired"):
            reason = row["error_message"].split(":", 1)[0]
        return CommandView(
            command_id=row["command_id"],
            command_type=row["command_type"],
            status=CommandStatus(row["status"]),
            reason=_reason(reason),
            error_message=row["error_message"],
            result=result,
            attempts=row["attempts"],
            worker_id=row["worker_id"],
            lease_expires_at=row["lease_expires_at"],
            expires_at=row["expires_at"],
            finished_at=row["finished_at"],
        )

    def log_of(self, command_id: UUID) -> list[str]:
        """The event types in the command's log, in order."""
        rows = self.query("SELECT event_type FROM command_audit_log WHERE command_id = %s ORDER BY id", command_id)
        return [row["event_type"] for row in rows]

    def audit_of(self, command_id: UUID) -> list[str]:
        """The audit event types about the command, in order."""
        rows = self.query("SELECT event_type FROM audit_events WHERE command_id = %s ORDER BY id", command_id)
        return [row["event_type"] for row in rows]

    def started_by(self, worker_id: str) -> int:
        """How many commands a worker with this id has started or taken over so far."""
        found = self.scalar(
            "SELECT count(*) FROM command_audit_log "
            "WHERE worker_id = %s AND event_type IN ('started', 'lease_taken_over')",
            worker_id,
        )
        return int(found)

    def waiting_sessions(self) -> list[int]:
        """The sessions (pids of their backends) in this database that wait for a lock that another one of it holds.

        Autovacuum, and sessions of other databases at what all share, hold locks for a moment too: they are no story's.
        """
        rows = self.query(_WAITING)
        return columns(rows, "pid")

    def open_sessions(self, sessions: Sequence[int]) -> list[int]:
        """Those of the sessions that the server has not ended yet."""
        rows = self.query("SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s)", list(sessions))
        return columns(rows, "pid")

    def idle_workers(self) -> list[int]:
        """The sessions that are idle after a claim; the server tells the first 1,024 bytes of each statement.

        Our worker asks twice where it finds nothing, first by a bare `UPDATE commands AS c`: in between it is not idle.
        """
        rows = self.query(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' "
            r"AND query ~* 'update\s+commands.+\mclaimed\M' AND query !~ '^\s*UPDATE commands AS c\M' ORDER BY pid"
        )
        return columns(rows, "pid")

    @contextmanager
    def holding(self, statement: LiteralString) -> Iterator[None]:
        """Inside the block another session holds the locks that `statement` takes; they are released by rollback."""
        with psycopg.connect(self._address.conninfo(), application_name="sim-holder") as holder:
            holder.execute(statement)
            yield
            holder.rollback()

    def _ask(
        self, query: "LiteralString | bytes | sql.Composed", parameters: Sequence[Any] | None = None
    ) -> "psycopg.Cursor[dict[str, Any]]":
        """The answer. No plan is kept: the next story's schema may be another."""
        connection = self._lend()
        set_json_loads(_json, connection)
        return connection.cursor(row_factory=dict_row).execute(query, parameters, prepare=False)


def _json(text: str | bytes) -> Any:
    """The value of a JSON column, or its text where Python has no value for it: too deep, or too many digits."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text if isinstance(text, str) else text.decode()


@lru_cache(maxsize=64)
def _all_of(table: str) -> bytes:
    order = sql.SQL(_ORDER.get(table, "id"))
    return sql.SQL("SELECT * FROM {} ORDER BY {}").format(sql.Identifier(table), order).as_bytes()


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case Decimal():
            return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
        case _:
            return value


def _reason(code: str | None) -> str | None:
    """`code` as the enum's member where it is one of ours: a foreign worker may have reasons of its own."""
    try:
        return None if code is None else Reason(code)
    except ValueError:
        return code


def columns(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    """One column of `rows`."""
    return [row[name] for row in rows]
