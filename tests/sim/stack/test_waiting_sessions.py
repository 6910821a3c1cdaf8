"""Who waits in a story waits for somebody of that story: what holds a lock elsewhere for a moment is no fault of it."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import LiteralString

import psycopg

from sim.postgres.address import DatabaseAddress
from sim.postgres.leases import LeasePool
from sim.stack.child import wait_until
from sim.story import Stack

SHARED: LiteralString = "pg_catalog.pg_replication_origin"
"""A table that all databases of a server share and hardly anybody reads."""


@contextmanager
def reading(address: DatabaseAddress, table: LiteralString) -> Iterator[int]:
    """The session that reads the table, from when it waits until it may; whoever holds it lets go at the end."""
    with closing(psycopg.connect(address.conninfo(), autocommit=True)) as session:
        reader = threading.Thread(target=session.execute, args=(f"SELECT count(*) FROM {table}",))
        reader.start()
        yield session.info.backend_pid
        reader.join(30)
        assert not reader.is_alive()


def blocked(stack: Stack, pid: int) -> bool:
    return bool(stack.rows.scalar("SELECT cardinality(pg_blocking_pids(%s)) > 0", pid))


def test_session_that_waits_for_another_of_its_database_is_found(stack: Stack) -> None:
    with closing(psycopg.connect(stack.faults.address.conninfo())) as holder:
        holder.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        with reading(stack.faults.address, "users") as pid:
            wait_until(lambda: blocked(stack, pid), "the reader waiting")
            found = stack.rows.waiting_sessions()
            holder.rollback()
    assert found == [pid]


def test_session_that_waits_for_one_of_another_database_is_not(stack: Stack, lease_pool: LeasePool) -> None:
    with lease_pool.acquire() as elsewhere, closing(psycopg.connect(elsewhere.address.conninfo())) as holder:
        holder.execute(f"LOCK TABLE {SHARED} IN ACCESS EXCLUSIVE MODE")
        with reading(stack.faults.address, SHARED) as pid:
            wait_until(lambda: blocked(stack, pid), "the reader waiting")
            found = stack.rows.waiting_sessions()
            holder.rollback()
    assert found == []
