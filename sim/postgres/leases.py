"""A clean database for a scenario in about a millisecond: databases are copied once and recycled.

    pool = LeasePool(server, label="gw0")
    with pool.acquire() as lease:      # clean: nobody connected, template rows only, sequences as new, no clock moves
        …lease.address…
    pool.close()

Scenarios commit for real, from as many connections and processes as they like, and may kill any of them.
"""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import LiteralString, Protocol, Self

import psycopg
from psycopg import sql

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.postgres.reset import ResetAnswer
from sim.postgres.running import RunningServer
from sim.postgres.template import copy_database

COPY_LOCK = (1309, 1)
"""Advisory lock of whoever copies a database: two copies at once take longer than one after the other."""

MAX_COPY_WAIT_S = 120
MAX_RECYCLE_ROUNDS = 4
MAX_DISCONNECT_S = 10.0
_STOPPED_AFTER_S = 0.1  # a backend that has not left by then may have been stopped by a signal
_POLL_S = 0.0005

_CONNECTED: LiteralString = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
)
_OTHERS: LiteralString = (
    "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> ALL (%s::int[]) "
    "AND backend_type = 'client backend'"
)


@contextmanager
def copying(connection: psycopg.Connection) -> Iterator[None]:
    """Only one client of the server copies or drops databases at a time."""
    connection.execute(f"SET lock_timeout = '{MAX_COPY_WAIT_S}s'")
    connection.execute("SELECT pg_advisory_lock(%s, %s)", COPY_LOCK)
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s, %s)", COPY_LOCK)


def drop_database(connection: psycopg.Connection, name: str) -> None:
    """Effects: the database is gone and whoever was connected to it is disconnected."""
    # DROP … WITH (FORCE) disconnects as well, but looks only every 100 ms whether that has worked.
    started = time.monotonic()
    while connection.execute(_CONNECTED, (name,)).fetchall() and time.monotonic() - started < MAX_DISCONNECT_S:
        time.sleep(_POLL_S)
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass(slots=True)
class Lease:
    """One database, on loan to one scenario at a time.

    `connection` belongs to the lease (autocommit) and is lent to the stage: to its clock, its reader and whoever gives
    starting facts. No actor may use it.
    """

    address: DatabaseAddress
    _connection: psycopg.Connection | None = field(default=None, repr=False)

    @property
    def connection(self) -> psycopg.Connection:
        """The lease's own connection, opened anew if the scenario cut it."""
        if self._connection is None or self._connection.broken or self._connection.closed:
            self._connection = psycopg.connect(self.address.conninfo(), autocommit=True, application_name="sim-lease")
        return self._connection

    def release(self) -> None:
        """Effects: the lease's own connection is closed."""
        self.close()

    def close(self) -> None:
        """Effects: the lease's own connection is closed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class KeptConnections(Protocol):
    """Connections of a story's callers that outlive the story, on a lease that is recycled."""

    def make_clean(self) -> list[int]:
        """The backends of those that are kept. Effects: nothing of an earlier story is left in their sessions."""

    def close(self) -> None:
        """Effects: they are closed."""


@dataclass(slots=True)
class PooledLease(Lease):
    """A recycled database. `rebuilds` counts how often it had to be copied anew; `kept` outlives the stories."""

    pool: "LeasePool" = field(kw_only=True, repr=False)
    rebuilds: int = 0
    kept: KeptConnections | None = field(default=None, repr=False)

    def close(self) -> None:
        """Effects: the lease's own connection is closed, and those that are kept."""
        if self.kept is not None:
            self.kept.close()
        Lease.close(self)

    def recycle(self) -> None:
        """Effects: the database is as the template: everybody else is disconnected, and it is copied anew if needed.

        Raises: `SimError` (`postgres/lease_not_clean`) when others connect again and again.
        """
        answer = ResetAnswer.BUSY
        for _ in range(MAX_RECYCLE_ROUNDS):
            answer = self._ask()
            if answer is ResetAnswer.OK:
                return
            if answer is ResetAnswer.BUSY:
                self._disconnect_others()
            else:
                self._rebuild()
        raise SimError(
            "postgres/lease_not_clean",
            f"database {self.address.name} was still {answer.value!r} after {MAX_RECYCLE_ROUNDS} attempts to clean it; "
            "end the processes that connect to it before the scenario ends",
        )

    def release(self) -> None:
        """Effects: the next scenario may have this database."""
        self.pool.take_back(self)

    def keep(self) -> None:
        """Effects: the database stays as it is until the server stops; no other scenario gets it."""
        self.close()

    def _ask(self) -> ResetAnswer:
        # A second attempt, because the scenario may have cut the connection of the first.
        for _ in range(2):
            kept = [] if self.kept is None else self.kept.make_clean()
            try:
                row = self.connection.execute("SELECT simh.lease_reset(%s::int[])", (kept,)).fetchone()
            except psycopg.OperationalError:
                self.close()
                continue
            except psycopg.Error:
                # The function or a table it names is gone or changed, or a lock is held that nobody will release.
                return ResetAnswer.REBUILD
            return ResetAnswer(row[0]) if row else ResetAnswer.REBUILD
        return ResetAnswer.REBUILD

    def _disconnect_others(self) -> None:
        kept = [] if self.kept is None else self.kept.make_clean()
        started = time.monotonic()
        while time.monotonic() - started < MAX_DISCONNECT_S:
            left = [pid for pid, _ in self.connection.execute(_OTHERS, (kept,)).fetchall()]
            if not left:
                return
            if self.pool.server.supports_signals and time.monotonic() - started > _STOPPED_AFTER_S:
                for pid in left:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
            time.sleep(_POLL_S)

    def _rebuild(self) -> None:
        self.close()
        self.pool.copy_anew(self.address.name)
        self.rebuilds += 1


class LeasePool:
    """The databases of one process. `label` keeps the processes of a run apart in the names of databases."""

    def __init__(self, server: RunningServer, *, label: str | None = None) -> None:
        self.server = server
        self._label = label or f"p{os.getpid()}"
        self._numbers = itertools.count()
        self._idle: list[PooledLease] = []
        self._maintenance: psycopg.Connection | None = None

    def acquire(self) -> PooledLease:
        """A clean database: a recycled one, else a new copy of the template."""
        lease = self._idle.pop() if self._idle else self._new()
        try:
            lease.recycle()
        except BaseException:
            lease.close()
            raise
        return lease

    def take_back(self, lease: PooledLease) -> None:
        """Effects: the lease is idle; what its scenario left behind is cleaned when it is next acquired."""
        if lease not in self._idle:
            self._idle.append(lease)

    def copy_anew(self, name: str) -> None:
        """Effects: database `name` is a fresh copy of the migrated template."""
        connection = self._connection()
        with copying(connection):
            _roll_back_prepared(connection, self.server, name)
            drop_database(connection, name)
            copy_database(connection, template=self.server.migrated, name=name, words=(f"run={self.server.run_id}",))

    def close(self) -> None:
        """Effects: idle databases are dropped; kept and lent ones stay until the server stops."""
        for lease in self._idle:
            lease.close()
            connection = self._connection()
            with copying(connection):
                drop_database(connection, lease.address.name)
        self._idle.clear()
        if self._maintenance is not None:
            self._maintenance.close()
            self._maintenance = None

    def _new(self) -> PooledLease:
        name = self.server.database_name(f"{self._label}_{next(self._numbers)}")
        self.copy_anew(name)
        return PooledLease(self.server.maintenance.on_database(name), pool=self)

    def _connection(self) -> psycopg.Connection:
        if self._maintenance is None or self._maintenance.broken or self._maintenance.closed:
            self._maintenance = self.server.connect()
        return self._maintenance


def _roll_back_prepared(connection: psycopg.Connection, server: RunningServer, name: str) -> None:
    """Effects: no prepared transaction keeps the database from being dropped."""
    prepared = connection.execute("SELECT gid FROM pg_prepared_xacts WHERE database = %s", (name,)).fetchall()
    if not prepared:
        return
    with psycopg.connect(server.maintenance.on_database(name).conninfo(), autocommit=True) as inside:
        for (gid,) in prepared:
            inside.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
