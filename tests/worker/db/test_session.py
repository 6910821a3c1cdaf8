"""What a database error means for the command at hand, and what a connection of the worker is like."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import JSON, Connection, Text, cast, select, text, type_coerce
from sqlalchemy.exc import DBAPIError

from sim.postgres.leases import Lease, LeasePool
from sim.postgres.private import private_server
from sim.postgres.running import RunningServer
from sim.postgres.template import stack_template
from worker.contracts.errors import Reason, TransientError
from worker.db import session
from worker.db.session import (
    Failure,
    classify,
    connect_autocommit,
    execute,
    open_engine,
    transaction,
    unavailable,
    url_of,
)
from worker.settings import DatabaseTarget

PASSWORD = "Corr3ctHorseBatteryStaple99"

MEANING = {
    # The connection, the server or its resources failed, or a lock could not be had.
    "08006": Failure.TRANSIENT,
    "53100": Failure.TRANSIENT,
    "53300": Failure.TRANSIENT,
    "57014": Failure.TRANSIENT,
    "57P01": Failure.TRANSIENT,
    "57P03": Failure.TRANSIENT,
    "58030": Failure.TRANSIENT,
    "40001": Failure.TRANSIENT,
    "40P01": Failure.TRANSIENT,
    "55P03": Failure.TRANSIENT,
    "25006": Failure.TRANSIENT,
    "23505": Failure.UNIQUE_VIOLATION,
    # The statement itself is wrong, or what it was given.
    "23503": Failure.DEFECT,
    "23514": Failure.DEFECT,
    "22P05": Failure.DEFECT,
    "25P02": Failure.DEFECT,
    "42501": Failure.DEFECT,
    "42P01": Failure.DEFECT,
    "55000": Failure.DEFECT,
    "40002": Failure.DEFECT,
    "XX000": Failure.DEFECT,
}


@pytest.fixture
def lease(lease_pool: LeasePool) -> Iterator[Lease]:
    with lease_pool.acquire() as acquired:
        yield acquired


@pytest.fixture
def connection(lease: Lease) -> Iterator[Connection]:
    engine = open_engine(url_of(lease.address), application_name="session-test")
    with connect_autocommit(engine) as opened:
        yield opened
    engine.dispose()


@pytest.mark.parametrize("sqlstate", MEANING)
def test_error_that_the_server_raises_means_the_same_by_either_way(connection: Connection, sqlstate: str) -> None:
    statement = f"DO $$ BEGIN RAISE 'told to' USING ERRCODE = '{sqlstate}'; END $$"

    with pytest.raises(psycopg.Error) as of_the_driver:
        execute(connection, statement, {})
    with pytest.raises(DBAPIError) as of_sqlalchemy:
        connection.execute(text(statement))

    assert of_the_driver.value.sqlstate == sqlstate
    assert classify(of_the_driver.value) is MEANING[sqlstate]
    assert classify(of_sqlalchemy.value) is MEANING[sqlstate]


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (psycopg.OperationalError("the connection is lost"), Failure.TRANSIENT),
        (psycopg.errors.ConnectionTimeout("no answer"), Failure.TRANSIENT),
        (psycopg.ProgrammingError("no such placeholder"), Failure.DEFECT),
        (psycopg.DataError("NUL in a text"), Failure.DEFECT),
        (psycopg.InterfaceError("wrong use"), Failure.DEFECT),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_without_a_code_is_the_connection_or_a_defect(error: psycopg.Error, meaning: Failure) -> None:
    assert classify(error) is meaning
    assert classify(DBAPIError("SELECT 1", None, error)) is meaning


def test_error_that_cost_the_connection_is_transient_whatever_it_says() -> None:
    error = DBAPIError("SELECT 1", None, psycopg.InterfaceError("gone"), connection_invalidated=True)

    assert classify(error) is Failure.TRANSIENT


def test_connection_that_was_cut_is_transient_by_either_way(lease: Lease) -> None:
    engine = open_engine(url_of(lease.address), application_name="cut-test")
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut-test'"
    with connect_autocommit(engine) as opened:
        lease.connection.execute(cut)
        with pytest.raises(psycopg.Error) as first:
            execute(opened, "SELECT 1", {})
        with pytest.raises(psycopg.Error) as second:
            execute(opened, "SELECT 1", {})
    with connect_autocommit(engine) as opened:
        lease.connection.execute(cut)
        with pytest.raises(DBAPIError) as third:
            opened.execute(text("SELECT 1"))
    engine.dispose()

    assert [classify(found.value) for found in (first, second, third)] == [Failure.TRANSIENT] * 3


def test_server_that_does_not_answer_is_transient_and_costs_the_connection(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_TIMEOUT_S", 0.1)

    with pytest.raises(psycopg.Error) as caught, transaction(connection):
        execute(connection, "SELECT pg_sleep(30)", {})

    assert classify(caught.value) is Failure.TRANSIENT
    assert session.driver(connection).closed


def test_server_that_answers_within_the_bound_is_waited_for(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_TIMEOUT_S", 30.0)

    assert execute(connection, "SELECT true FROM pg_sleep(0.1)", {}) == [(True,)]


def test_wait_with_its_own_bound_ends_with_it_and_keeps_the_connection(connection: Connection) -> None:
    assert list(session.driver(connection).notifies(timeout=0.01)) == []
    assert execute(connection, "SELECT 1", {}) == [(1,)]


def test_unreachable_server_is_told_without_address_user_or_password() -> None:
    target = DatabaseTarget(host="127.0.0.1", port=1, name="gui_of_day", user="worker_of_day", password=PASSWORD)

    with pytest.raises(TransientError) as caught:
        connect_autocommit(open_engine(url_of(target), application_name="x"))

    assert caught.value.reason is Reason.DATABASE_UNAVAILABLE
    assert [word for word in (PASSWORD, "127.0.0.1", "gui_of_day", "worker_of_day") if word in str(caught.value)] == []
    assert PASSWORD not in repr(url_of(target))


@pytest.fixture(scope="module")
def guarded(postgres_server: RunningServer) -> Iterator[DatabaseTarget]:
    """A database whose server asks for the password of `worker_of_day`."""
    with private_server(postgres_server.run_id, postgres_server.run_dir, stack_template()) as server:
        with psycopg.connect(server.address.conninfo(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE ROLE worker_of_day LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)),
            )
        server.stop()
        (server.postmaster.cluster_dir / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        server.start()
        address = server.address
        yield DatabaseTarget(
            host=address.host, port=address.port, name=address.name, user="worker_of_day", password=PASSWORD
        )


def reason_of(target: DatabaseTarget) -> str:
    """What is said when there is no connection to `target`, between the parentheses; no name of it stands there."""
    with pytest.raises(TransientError) as caught:
        connect_autocommit(open_engine(url_of(target), application_name="x"))
    said = caught.value.message
    names = {target.password, target.host, target.name, target.user}
    assert [name for name in names if name in said] == []
    return said.partition(" (")[2].rpartition("); check ")[0]


def test_database_that_asks_for_a_password_opens_with_it(guarded: DatabaseTarget) -> None:
    with connect_autocommit(open_engine(url_of(guarded), application_name="x")) as opened:
        assert execute(opened, "SELECT current_user", {}) == [("worker_of_day",)]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        # What the server ends the connection with, and libpq hands on without the code: 28P01, 28P01, 3D000.
        ({"password": "wrong-of-day"}, "FATAL:  password authentication failed for user …"),
        ({"user": 'nobody"of_day'}, "FATAL:  password authentication failed for user …"),
        ({"name": "nowhere_of_day"}, "FATAL:  database … does not exist"),
        ({"port": 1}, "No such file or directory"),
    ],
    ids=["28P01 wrong password", "28P01 unknown user", "3D000 unknown database", "no server at the socket"],
)
def test_connection_that_a_server_refuses_is_told_by_why(
    guarded: DatabaseTarget, changed: dict[str, Any], why: str
) -> None:
    reason = reason_of(replace(guarded, **changed))

    assert reason.startswith("OperationalError: connection ")
    assert reason.endswith(f": connection to server on socket … failed: {why}")


def test_connection_to_a_port_where_nobody_listens_is_told_by_why() -> None:
    target = DatabaseTarget(host="127.0.0.1", port=1, name="gui_of_day", user="worker_of_day", password=PASSWORD)

    assert reason_of(target) == (
        "OperationalError: connection failed: connection to server at …, port 1 failed: Connection refused"
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('to server at "db.day" (10.1.2.3), port 1 failed: x', "to server at …, port 1 failed: x"),
        ('to server at "db.day" (fe80::1%eth0), port 1 failed: x', "to server at …, port 1 failed: x"),
        (
            'no entry for host "::1", user "a"b", database "c d", no encryption',
            "no entry for host …, user …, database …,",
        ),
        ("failed to resolve host 'db.day': [Errno -2] Name or", "failed to resolve host …: [Errno -2] Name or"),
        ("first\nsecond", "(OperationalError: first);"),
        ("", "(OperationalError: no reason given);"),
        ("x" * 301, f"(OperationalError: {'x' * 300});"),
    ],
    ids=["IPv4", "IPv6", "a quote in a name", "a host nobody knows", "two lines", "nothing", "long"],
)
def test_names_and_further_lines_of_the_driver_are_left_out(said: str, told: str) -> None:
    assert told in unavailable(psycopg.OperationalError(said)).message


def test_what_the_server_said_is_not_repeated() -> None:
    error = psycopg.errors.AdminShutdown(f"terminating connection of {PASSWORD}")

    assert PASSWORD not in str(unavailable(error))
    assert "57P01" in str(unavailable(error))


def test_every_statement_commits_by_itself_and_is_in_utc(connection: Connection, lease: Lease) -> None:
    execute(connection, "INSERT INTO users (name, email, role) VALUES ('a', 'a@x', 'admin')", {})

    assert lease.connection.execute("SELECT count(*) FROM users").fetchone() == (1,)
    ((now,),) = execute(connection, "SELECT now()", {})
    assert now.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("SELECT 1 WHERE false", []),
        ("SELECT 1 UNION SELECT 2 ORDER BY 1", [(1,), (2,)]),
        ("UPDATE users SET name = 'b'", ()),
        ("UPDATE users SET name = 'b' RETURNING id", []),
        ("LISTEN anything", ()),
    ],
)
def test_statement_gives_its_rows_or_none(connection: Connection, statement: str, rows: object) -> None:
    assert execute(connection, statement, {}) == rows


def test_transaction_is_kept_when_its_block_ends_well_and_undone_otherwise(
    connection: Connection, lease: Lease
) -> None:
    def add(name: str) -> None:
        execute(connection, "INSERT INTO users (name, email, role) VALUES (%(n)s, %(n)s, 'admin')", {"n": name})

    def add_twice(name: str) -> None:
        with transaction(connection):
            add(name)
            add(name)

    with transaction(connection):
        add("kept")
    with pytest.raises(psycopg.errors.UniqueViolation):
        add_twice("undone")
    add("after")

    names = lease.connection.execute("SELECT name FROM users ORDER BY id").fetchall()
    assert names == [("kept",), ("after",)]


def test_json_columns_are_read_with_decimals_and_written_in_canonical_form(connection: Connection) -> None:
    read = connection.execute(text('SELECT CAST(\'{"b": 0.20, "a": "\u00e9"}\' AS json)')).scalar_one()
    written = connection.execute(select(cast(type_coerce(read, JSON), Text))).scalar_one()

    assert read == {"a": "\u00e9", "b": Decimal("0.20")}
    assert isinstance(read["b"], Decimal)
    assert written == '{"a":"\u00e9","b":0.2}'


def test_error_of_a_statement_does_not_repeat_its_values(connection: Connection) -> None:
    with pytest.raises(DBAPIError) as caught:
        connection.execute(text("SELECT 1 / CAST(0 * length(:secret) AS int)"), {"secret": PASSWORD})

    assert PASSWORD not in str(caught.value)


def test_database_of_another_name_is_told_with_every_setting_to_look_at(lease: Lease) -> None:
    target = replace(lease.address, name="no_such_database")

    with pytest.raises(TransientError) as caught:
        connect_autocommit(open_engine(url_of(target), application_name="x"))

    named = ("GUI_DB_HOST", "GUI_DB_PORT", "GUI_DB_NAME", "GUI_DB_USER", "GUI_DB_PASSWORD")
    assert [name for name in named if name not in str(caught.value)] == []
