"""Databases for `sim db`, and `sim` as an operator types it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql

from sim.cli import main
from sim.guard import refusal
from sim.postgres.address import DatabaseAddress
from sim.postgres.clones import clone
from sim.postgres.running import RunningServer

REPOSITORY = Path(__file__).parents[2]
PASSWORD = "Corr3ctHorseBatteryStaple99"
TIMEOUT_S = 30

MakeDatabase = Callable[..., DatabaseAddress]


def environment(address: DatabaseAddress, **changed: str) -> dict[str, str]:
    return {**address.environment(), "GUI_DB_PASSWORD": PASSWORD, "BINANCE_TESTNET": "true", **changed}


def sim(address: DatabaseAddress, *words: str, **changed: str) -> Result:
    """What `sim db …` did to the database at `address`."""
    return CliRunner().invoke(main, ["db", *words], env=environment(address, **changed))


def refused(result: Result, *named: str) -> str:
    """The one sentence of a refusal, which names each of `named`, no password, and is no traceback."""
    assert (result.exit_code, type(result.exception)) == (1, SystemExit), result.output
    assert [name for name in named if name not in result.output] == []
    assert PASSWORD not in result.output
    assert result.output.startswith("Error: ")
    assert len(result.output.strip().splitlines()) == 1
    return result.output


def execute(address: DatabaseAddress, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def comment_of(address: DatabaseAddress) -> object:
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    return execute(address, query)[0][0]


def tables_of(address: DatabaseAddress) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    return [str(row[0]) for row in execute(address, query)]


def add_user(address: DatabaseAddress) -> None:
    execute(address, "INSERT INTO users (name, email, role) VALUES ('day', 'day@example.org', 'admin')")


@pytest.fixture
def make_database(postgres_server: RunningServer) -> Iterator[MakeDatabase]:
    """Makes databases of their own; without tables unless told, and with the comment they are given."""
    with ExitStack() as made:

        def make(comment: str | None = "environment=testnet", *, migrated: bool = False) -> DatabaseAddress:
            address = made.enter_context(clone(postgres_server, migrated=migrated))
            with psycopg.connect(address.conninfo(), autocommit=True) as connection:
                statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
                connection.execute(statement.format(sql.Identifier(address.name), sql.Literal(comment)))
            return address

        yield make


@pytest.fixture
def with_rows(make_database: MakeDatabase) -> DatabaseAddress:
    address = make_database(migrated=True)
    add_user(address)
    return address


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Path]:
    """Where refusals of this process are kept during a test."""
    path = tmp_path / "record.jsonl"
    refusal.keep_record_in(path)
    yield path
    refusal._RECORD.clear()
