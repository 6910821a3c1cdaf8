"""A clean database whose clock stands still, a worker's connection to it, and a look at the rows from outside."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection

from sim.postgres.leases import Lease, LeasePool
from tests.worker.services.conftest import NOW
from worker.db.session import connect_autocommit, driver, execute, open_engine, url_of


def set_clock(lease: Lease, instant: str) -> None:
    """The database's clock stands still at `instant` from now on."""
    lease.connection.execute(
        "INSERT INTO simclock.moves (real_at, virtual_at, running) VALUES ('-infinity', %s, false)", (instant,)
    )


def wait_until_it_waits(watcher: Connection, waiting: Connection) -> None:
    """At most ten seconds, in the server: until `waiting` waits for a lock."""
    found: list[object] = []
    query = (
        "SELECT pid FROM pg_stat_activity, pg_sleep(0.01)"
        " WHERE pid = %(pid)s AND wait_event_type = 'Lock' AND cardinality(pg_blocking_pids(pid)) > 0"
    )
    for _ in range(1000):
        if found:
            return
        found = [*execute(watcher, query, {"pid": driver(waiting).info.backend_pid})]
    raise AssertionError("nobody came to wait for a lock")


@pytest.fixture
def still_lease(lease_pool: LeasePool) -> Iterator[Lease]:
    """Its clock stands still at `NOW`."""
    with lease_pool.acquire() as lease:
        set_clock(lease, NOW)
        lease.connection.execute("INSERT INTO users (id, name, email, role) VALUES (23, 'day', 'day@x', 'admin')")
        yield lease


@pytest.fixture
def connect(still_lease: Lease) -> Iterator[Callable[[], Connection]]:
    """Opens connections of the worker's kind: each statement commits by itself."""
    opened: list[Connection] = []

    def one() -> Connection:
        opened.append(connect_autocommit(open_engine(url_of(still_lease.address), application_name="store-test")))
        return opened[-1]

    yield one
    for connection in opened:
        connection.close()


@pytest.fixture
def still(connect: Callable[[], Connection]) -> Connection:
    """One such connection."""
    return connect()
