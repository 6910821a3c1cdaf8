"""One virtual time for Postgres, for this process and for every child; exact to the microsecond, both ways."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest

from sim.clock import (
    ClockReading,
    VirtualClock,
    follow_clock_file,
    hours,
    microseconds,
    minutes,
    moment,
    read_clock_file,
    real_now,
    seconds,
)
from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.postgres.leases import LeasePool, PooledLease
from sim.postgres.server import Kind, RunningServer, TemplateSource, open_run, start_server

NINE = datetime(2026, 5, 12, 9, tzinfo=UTC)
ALL_FOUR = "SELECT now(), transaction_timestamp(), statement_timestamp(), clock_timestamp()"

# Prints what a process without a database sees, then once more for every line it is given.
FOLLOWER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from sim.clock import follow_clock_file
with follow_clock_file(Path(sys.argv[1])):
    for _ in sys.stdin:
        print(datetime.now(UTC).isoformat(), time.time(), flush=True)
"""


def build(address: DatabaseAddress) -> None:
    with psycopg.connect(address.conninfo()) as connection:
        connection.execute(
            "CREATE TABLE notes (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), "
            "at_clock timestamptz NOT NULL DEFAULT clock_timestamp(), naive timestamp NOT NULL DEFAULT now())"
        )


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    run = open_run()
    started = start_server(Kind.EMBEDDED, run, TemplateSource(key="test of the clock", build=build))
    yield started
    started.stop()
    run.close()


@pytest.fixture(scope="module")
def pool(server: RunningServer) -> Iterator[LeasePool]:
    made = LeasePool(server)
    yield made
    made.close()


@pytest.fixture
def lease(pool: LeasePool) -> Iterator[PooledLease]:
    with pool.acquire() as acquired:
        yield acquired


@pytest.fixture
def clock_file(tmp_path: Path) -> Path:
    return tmp_path / "clock.json"


@pytest.fixture
def clock(lease: PooledLease, clock_file: Path) -> Iterator[VirtualClock]:
    with VirtualClock(lease.address, clock_file=clock_file) as made:
        yield made


@pytest.fixture
def connection(lease: PooledLease) -> Iterator[psycopg.Connection]:
    with psycopg.connect(lease.address.conninfo(), autocommit=True) as made:
        yield made


def ask(connection: psycopg.Connection, question: str) -> tuple[datetime, ...]:
    row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return tuple(row)


def test_untouched_clock_shows_real_time_everywhere(clock: VirtualClock, connection: psycopg.Connection) -> None:
    before = real_now()
    told = [clock.now(), *ask(connection, ALL_FOUR), datetime.now(UTC)]

    assert all(timedelta(0) <= at - before < seconds(5) for at in told)


@pytest.mark.parametrize("at", ["2026-05-12T09:00:00Z", NINE, NINE.astimezone(timezone(hours(2)))], ids=repr)
def test_frozen_clock_is_the_same_in_database_and_process(
    clock: VirtualClock, connection: psycopg.Connection, at: str | datetime
) -> None:
    clock.freeze_at(at)

    assert clock.now() == NINE
    assert set(ask(connection, ALL_FOUR)) == {NINE}
    assert datetime.now(UTC) == NINE
    assert time.time() == NINE.timestamp()


def test_column_defaults_take_virtual_time(clock: VirtualClock, connection: psycopg.Connection) -> None:
    clock.freeze_at(NINE + microseconds(1))

    connection.execute("INSERT INTO notes DEFAULT VALUES")

    at, at_clock, naive = ask(connection, "SELECT at, at_clock, naive FROM notes")
    assert at == at_clock == NINE + microseconds(1)
    assert naive == (NINE + microseconds(1)).replace(tzinfo=None)


@pytest.mark.parametrize("by", [microseconds(1), microseconds(-1), minutes(14), hours(-30), hours(24 * 400)], ids=str)
def test_every_connection_sees_a_move_exactly(
    clock: VirtualClock, lease: PooledLease, connection: psycopg.Connection, by: timedelta
) -> None:
    clock.freeze_at(NINE)
    assert ask(connection, "SELECT now()") == (NINE,)

    clock.advance(by)

    with psycopg.connect(lease.address.conninfo()) as newer:
        assert set(ask(newer, ALL_FOUR)) == {NINE + by}
    assert set(ask(connection, ALL_FOUR)) == {NINE + by}
    assert clock.now() == datetime.now(UTC) == NINE + by


@pytest.mark.parametrize("by", [minutes(15), minutes(-15)], ids=str)
def test_open_transaction_keeps_its_now_while_statement_and_clock_move_on(
    clock: VirtualClock, lease: PooledLease, by: timedelta
) -> None:
    clock.freeze_at(NINE)
    with psycopg.connect(lease.address.conninfo()) as connection:
        assert ask(connection, ALL_FOUR) == (NINE, NINE, NINE, NINE)

        clock.advance(by)

        assert ask(connection, ALL_FOUR) == (NINE, NINE, NINE + by, NINE + by)
        connection.execute("INSERT INTO notes DEFAULT VALUES")
        assert ask(connection, "SELECT at, at_clock FROM notes") == (NINE, NINE + by)
        connection.commit()
        assert ask(connection, ALL_FOUR) == (NINE + by,) * 4


def test_transaction_that_first_asks_after_the_move_still_began_before_it(
    clock: VirtualClock, lease: PooledLease
) -> None:
    clock.freeze_at(NINE)
    with psycopg.connect(lease.address.conninfo()) as connection:
        connection.execute("SELECT 1")

        clock.advance(minutes(15))

        assert ask(connection, "SELECT now(), clock_timestamp()") == (NINE, NINE + minutes(15))


def test_statement_time_stays_while_clock_time_moves_within_one_statement(
    clock: VirtualClock, connection: psycopg.Connection
) -> None:
    clock.freeze_at(NINE)
    clock.run()

    statement, before, _, after, still = ask(
        connection,
        "SELECT statement_timestamp(), clock_timestamp(), pg_sleep(0.01), clock_timestamp(), statement_timestamp()",
    )

    assert statement == still <= before
    assert after - before >= timedelta(milliseconds=10)


def test_running_clock_runs_from_where_it_was_and_can_be_stopped_again(
    clock: VirtualClock, connection: psycopg.Connection
) -> None:
    clock.freeze_at(NINE)
    clock.run()
    readings = [clock.now(), ask(connection, "SELECT clock_timestamp()")[0], datetime.now(UTC), clock.now()]
    assert readings == sorted(readings)
    assert readings[0] >= NINE
    assert readings[-1] < NINE + seconds(10)

    clock.advance(hours(1))
    assert NINE + hours(1) < ask(connection, "SELECT now()")[0] < NINE + hours(1) + seconds(10)

    clock.freeze()
    stopped = clock.now()
    assert ask(connection, ALL_FOUR) == (stopped,) * 4
    assert datetime.now(UTC) == stopped


def test_child_process_follows_every_move_without_a_database(clock: VirtualClock, clock_file: Path) -> None:
    clock.freeze_at(NINE)
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOWER, str(clock_file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        seen = []
        for by in (microseconds(0), minutes(14), microseconds(-1)):
            clock.advance(by)
            child.stdin.write("now\n")
            child.stdin.flush()
            seen.append((clock.now(), child.stdout.readline().split()))
        child.stdin.close()

    assert [(at.isoformat(), str(at.timestamp())) for at, _ in seen] == [tuple(line) for _, line in seen]


def test_child_process_sees_the_clock_through_its_own_connection(clock: VirtualClock, lease: PooledLease) -> None:
    clock.freeze_at(NINE)
    asks = "import os, psycopg; print(psycopg.connect(os.environ['WHERE']).execute('SELECT now()').fetchone()[0])"

    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", asks],
        env={**os.environ, "WHERE": lease.address.conninfo()},
        check=True,
        capture_output=True,
        text=True,
    )

    assert told.stdout.strip() == str(NINE)


def test_clock_file_holds_one_documented_object(clock: VirtualClock, clock_file: Path) -> None:
    assert read_clock_file(clock_file) is None
    clock.freeze_at(NINE)
    still = json.loads(clock_file.read_text())
    clock.run()
    running = json.loads(clock_file.read_text())

    assert still["virtual_at"] == "2026-05-12T09:00:00.000000Z"
    assert (still["running"], running["running"]) == (False, True)
    assert read_clock_file(clock_file) == clock.reading
    assert [path.name for path in clock_file.parent.iterdir()] == [clock_file.name]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"virtual_at": 1, "real_at": 2, "running": false}', "{"])
def test_malformed_clock_file_is_refused(clock_file: Path, text: str) -> None:
    clock_file.write_text(text)

    with pytest.raises(SimError) as refused:
        read_clock_file(clock_file)

    assert refused.value.code == "clock/malformed_file"


def test_follower_without_a_file_shows_real_time(clock_file: Path) -> None:
    with follow_clock_file(clock_file):
        assert abs(datetime.now(UTC) - real_now()) < seconds(5)

        clock_file.write_text(ClockReading(virtual_at=NINE, real_at=real_now(), running=False).to_json())

        assert datetime.now(UTC) == NINE
    assert abs(datetime.now(UTC) - real_now()) < seconds(5)


def test_closed_clock_gives_the_process_its_real_time_back(lease: PooledLease) -> None:
    with VirtualClock(lease.address) as clock:
        clock.freeze_at(NINE)
        assert datetime.now(UTC) == NINE

    assert abs(datetime.now(UTC) - real_now()) < seconds(5)
    clock.close()


def test_process_keeps_real_time_where_it_was_asked_to(lease: PooledLease, connection: psycopg.Connection) -> None:
    with VirtualClock(lease.address, freeze_process=False) as clock:
        clock.freeze_at(NINE)

        assert ask(connection, "SELECT now()") == (NINE,)
        assert abs(datetime.now(UTC) - real_now()) < seconds(5)


def test_clock_may_use_the_connection_of_its_lease(lease: PooledLease) -> None:
    with VirtualClock(lease.address, connection=lease.connection) as clock:
        clock.freeze_at(NINE)
        clock.advance(minutes(1))

    assert lease.connection.execute("SELECT count(*) FROM simclock.moves").fetchone() == (2,)
    lease.recycle()
    assert lease.connection.execute("SELECT count(*) FROM simclock.moves").fetchone() == (0,)


def test_timeouts_still_come_due_under_a_frozen_clock(clock: VirtualClock, connection: psycopg.Connection) -> None:
    clock.freeze_at(NINE)

    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SET statement_timeout = '10ms'; SELECT pg_sleep(5)")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.05)
        child.kill()
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(host="127.0.0.1", port=silent.getsockname()[1], user="u", dbname="d", connect_timeout=1)


def test_move_counts_for_no_transaction_begun_before_its_moment(
    clock: VirtualClock, connection: psycopg.Connection
) -> None:
    # Twenty moves against a reader that never pauses: within a transaction now() must not change.
    clock.freeze_at(NINE)
    for _ in range(20):
        connection.execute("BEGIN")
        first = ask(connection, "SELECT now()")
        clock.advance(seconds(1))
        assert ask(connection, "SELECT now()") == first
        connection.execute("COMMIT")
        assert ask(connection, "SELECT now()") == (clock.now(),)


@pytest.mark.parametrize(
    ("at", "code"),
    [
        ("2026-05-12T09:00:00", "clock/no_zone"),
        (NINE.replace(tzinfo=None), "clock/no_zone"),
        ("nine o'clock", "clock/malformed_time"),
        ("", "clock/malformed_time"),
    ],
)
def test_time_without_zone_or_shape_is_refused(clock: VirtualClock, at: str | datetime, code: str) -> None:
    with pytest.raises(SimError) as refused:
        clock.freeze_at(at)

    assert refused.value.code == code
    assert clock.reading is None


def test_moment_reads_every_zone_as_utc() -> None:
    assert moment("2026-05-12T11:00:00+02:00") == moment("2026-05-12T09:00:00Z") == NINE
