"""A worker's context on a clean database, commands put there by plain SQL, and a handler that does as it is told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Connection

from sim.postgres.leases import Lease, LeasePool
from sim.stack.home import make_home
from tests.worker.managed_worlds import World, open_world
from worker.bus.context import BusContext
from worker.contracts.commands import CommandType
from worker.contracts.errors import Refusal
from worker.contracts.states import CommandStatus
from worker.db.bus_store import ClaimedCommand
from worker.db.session import connect_autocommit, open_engine, url_of
from worker.handlers.outcome import Assignment, Outcome, note, refused
from worker.readers.home import Home
from worker.settings import POLL_S

NOW = "2026-05-12T09:00:00Z"
WORKER = "w1"


@dataclass(slots=True)
class ToldHandler:
    """A handler whose every run is one call of `on_run`; its change is on disk when `applied` says so."""

    on_run: Callable[[Assignment], Outcome]
    applied: bool = False
    assignments: list[Assignment] = field(default_factory=list)

    def is_applied(self, home: Home, command: ClaimedCommand) -> bool:
        return self.applied

    def run(self, assignment: Assignment) -> Outcome:
        self.assignments.append(assignment)
        return self.on_run(assignment)

    def failure(self, refusal: Refusal, command: ClaimedCommand) -> Outcome:
        return refused(refusal, log_rows=(note("told.rejected"),))


def succeeded(_: Assignment) -> Outcome:
    return Outcome(status=CommandStatus.SUCCEEDED, result={"ok": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Somebody with SQL access, beside the worker."""

    connection: psycopg.Connection[Any]

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def command(self, command_id: UUID) -> dict[str, Any]:
        (found,) = self.rows("SELECT * FROM commands WHERE command_id = %s", command_id)
        return found

    def log_of(self, command_id: UUID) -> list[str]:
        query = "SELECT event_type FROM command_audit_log WHERE command_id = %s ORDER BY id"
        return [row["event_type"] for row in self.rows(query, command_id)]

    def put(
        self,
        command_type: str = "apply_baseline_holdings",
        *,
        subject: str = "baseline",
        status: str = "pending",
        attempts: int = 0,
        lease_ends: str | None = None,
        expires: str | None = None,
        payload: str = "{}",
    ) -> UUID:
        """The id of a command; `lease_ends` and `expires` are intervals from now, such as `-1 second`."""
        command_id = uuid4()
        self.rows(
            "INSERT INTO commands (command_id, command_type, subject, status, payload, idempotency_key, attempts, "
            "worker_id, lease_expires_at, expires_at) VALUES (%s, %s, %s, %s, %s::json, %s, %s, %s, "
            "now() + %s::interval, now() + %s::interval)",
            *(command_id, command_type, subject, status, payload, str(command_id), attempts),
            *(None if status == "pending" else "gone", lease_ends, expires),
        )
        return command_id

    def advance(self, interval: str) -> None:
        """Effects: virtual time stands still that much later."""
        self.rows("UPDATE simclock.moves SET virtual_at = virtual_at + %s::interval", interval)


@pytest.fixture
def lease(lease_pool: LeasePool) -> Iterator[Lease]:
    """A clean database whose clock stands still at `NOW`."""
    with lease_pool.acquire() as acquired:
        acquired.connection.execute(
            "INSERT INTO simclock.moves (real_at, virtual_at, running) VALUES ('-infinity', %s, false)", (NOW,)
        )
        yield acquired


@pytest.fixture
def outside(lease: Lease) -> Iterator[Outside]:
    with psycopg.connect(lease.address.conninfo(), autocommit=True) as connection:
        yield Outside(connection=connection)


@pytest.fixture
def connection(lease: Lease) -> Iterator[Connection]:
    """The worker's one connection."""
    engine = open_engine(url_of(lease.address), application_name="bus-test")
    with connect_autocommit(engine) as opened:
        yield opened
    engine.dispose()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(make_home(tmp_path / "home"))


@pytest.fixture
def handler() -> ToldHandler:
    """Runs baselines and succeeds, unless a test tells it otherwise."""
    return ToldHandler(on_run=succeeded)


@pytest.fixture
def context(connection: Connection, home: Home, handler: ToldHandler) -> BusContext:
    handlers = {CommandType.APPLY_BASELINE_HOLDINGS: handler, CommandType.APPLY_PROFILE_TESTNET: handler}
    return BusContext(
        connection=connection, worker_id=WORKER, home=home, handlers=handlers, poll_s=POLL_S, lock_wait_s=0.0
    )


@pytest.fixture
def world(lease_pool: LeasePool, tmp_path: Path) -> Iterator[World]:
    """A baseline, a profile and a market, and the worker with all its handlers."""
    with lease_pool.acquire() as acquired, open_world(acquired, Home(make_home(tmp_path / "managed home"))) as opened:
        yield opened
