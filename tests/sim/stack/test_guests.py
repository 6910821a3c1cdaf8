"""A kept connection serves the next who asks for the same, and nothing of an earlier use or story is left in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.errors import Diagnostic

from sim.postgres.leases import Lease, LeasePool, PooledLease
from sim.stack.child import wait_until
from sim.stack.guests import GuestConnection, Guests, guests_of
from sim.stack.stack import open_stack
from tests.sim.stack.conftest import LazyZygote


@pytest.fixture
def lease(lease_pool: LeasePool) -> Iterator[PooledLease]:
    with lease_pool.acquire() as made:
        yield made


@pytest.fixture
def guests(lease: PooledLease) -> Iterator[Guests]:
    made = guests_of(lease)
    assert made is not None
    made.close()  # an earlier test's may still be kept on this database
    yield made
    made.close()


def connect(lease: Lease, guests: Guests, name: str = "guest") -> GuestConnection:
    return guests.connect(lease.address.conninfo(), application_name=name)


def visit(lease: Lease, guests: Guests, *statements: str, name: str = "guest") -> int:
    """Which backend it was."""
    with connect(lease, guests, name) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        return connection.info.backend_pid


def asked(lease: Lease, guests: Guests, question: str) -> Any:
    with connect(lease, guests) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def test_next_who_asks_in_the_same_words_gets_the_connection(lease: PooledLease, guests: Guests) -> None:
    first = visit(lease, guests, "SELECT 1")

    assert visit(lease, guests, "SELECT 1") == first
    assert visit(lease, guests, "SELECT 1", name="another") != first


def test_two_at_once_have_two_connections_and_one_is_kept(lease: PooledLease, guests: Guests) -> None:
    with connect(lease, guests) as first, connect(lease, guests) as second:
        pids = (first.info.backend_pid, second.info.backend_pid)

    assert pids[0] != pids[1]
    assert guests.make_clean() == [pids[1]]
    assert (first.closed, second.closed) == (True, False)


@pytest.mark.parametrize(
    ("statement", "question", "clean"),
    [
        ("SET statement_timeout = '7s'", "SHOW statement_timeout", "0"),
        ("CREATE TEMP TABLE notes (note text)", "SELECT count(*) FROM pg_class WHERE relname = 'notes'", 0),
        ("SELECT pg_advisory_lock(7)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7", 0),
        ("LISTEN commands", "SELECT count(*) FROM pg_listening_channels()", 0),
        ("PREPARE question AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements", 0),
    ],
    ids=["setting", "temporary table", "advisory lock", "listening", "prepared statement"],
)
def test_session_of_an_earlier_story_is_forgotten(
    lease: PooledLease, guests: Guests, statement: str, question: str, clean: object
) -> None:
    backend = visit(lease, guests, statement)
    assert asked(lease, guests, question) != clean

    lease.recycle()

    assert asked(lease, guests, question) == clean
    assert visit(lease, guests) == backend


def test_connection_that_was_kept_begins_transactions_as_a_new_one_does(lease: PooledLease, guests: Guests) -> None:
    connection = connect(lease, guests)
    connection.autocommit = True
    connection.close()

    with connect(lease, guests) as again:
        assert (again is connection, again.autocommit) == (True, False)


def test_what_an_earlier_user_asked_to_be_told_is_told_to_nobody(lease: PooledLease, guests: Guests) -> None:
    told: list[str] = []
    notice = "DO $$ BEGIN RAISE NOTICE 'seen'; END $$"

    def use(user: str) -> None:
        def told_notice(found: Diagnostic) -> None:
            told.append(f"{user}: {found.message_primary}")

        def told_notification(found: psycopg.Notify) -> None:
            told.append(f"{user}: {found.payload}")

        with connect(lease, guests) as connection:
            connection.add_notice_handler(told_notice)
            connection.add_notify_handler(told_notification)
            for statement in ("LISTEN here", "NOTIFY here, 'heard'", notice):
                connection.execute(statement.encode())
            connection.commit()

    use("first")
    use("second")

    assert told == ["first: seen", "first: heard", "second: seen", "second: heard"]


def test_connection_in_a_transaction_is_closed(lease: PooledLease, guests: Guests) -> None:
    connection = connect(lease, guests)
    connection.execute("SELECT 1")
    connection.close()

    assert connection.closed
    assert guests.make_clean() == []


def test_session_that_the_server_ended_is_handed_to_nobody(lease: PooledLease, guests: Guests) -> None:
    ended = visit(lease, guests)
    lease.connection.execute("SELECT pg_terminate_backend(%s, 5000)", (ended,))

    assert visit(lease, guests, "SELECT 1") != ended


def test_lease_whose_kept_session_was_ended_recycles_all_the_same(lease: PooledLease, guests: Guests) -> None:
    ended = visit(lease, guests)
    lease.connection.execute("SELECT pg_terminate_backend(%s, 5000)", (ended,))

    lease.recycle()

    assert guests.make_clean() == []


def test_stranger_is_disconnected_though_another_may_stay(lease: PooledLease, guests: Guests) -> None:
    kept = visit(lease, guests)
    before = lease.rebuilds
    with psycopg.connect(lease.address.conninfo(), autocommit=True) as stranger:
        lease.recycle()

        with pytest.raises(psycopg.OperationalError):
            stranger.execute("SELECT 1")
    assert (lease.rebuilds, visit(lease, guests)) == (before, kept)


def test_kept_connection_is_closed_with_its_lease(lease: PooledLease, guests: Guests) -> None:
    kept = visit(lease, guests)

    lease.close()

    left = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    wait_until(lambda: lease.connection.execute(left, (kept,)).fetchone() == (0,), "the kept session's end")
    assert guests.make_clean() == []


def test_only_a_database_that_is_recycled_keeps_connections(lease: PooledLease) -> None:
    assert guests_of(Lease(lease.address)) is None
    assert guests_of(lease) is guests_of(lease) is not None


def test_clicks_of_two_stories_on_one_database_are_made_on_one_connection(
    lease: PooledLease, guests: Guests, zygote: LazyZygote, tmp_path: Path
) -> None:
    used = []
    for story in ("first", "second"):
        folder = tmp_path / story
        folder.mkdir()
        lease.recycle()
        with open_stack(lease, folder, zygote=zygote.get) as stack:
            stack.given.reference_profile()
            stack.operator("day").apply_baseline({"ETH": "1.5"})
            used.append(guests.make_clean())

    assert len(used[0]) == 1
    assert used[0] == used[1]
