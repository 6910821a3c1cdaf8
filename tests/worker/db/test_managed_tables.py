"""Migration 0002: columns, nullability, indexes and foreign keys as contract §3 says; up, down and up again."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.errors import CheckViolation, NotNullViolation

from sim.postgres.leases import Lease
from sim.stack.migrations import Migrations
from tests.worker.services.managed import CLICK
from worker.contracts.states import ManagedState

Connection = psycopg.Connection[tuple[Any, ...]]

COLUMNS = {
    "managed_proposals": [
        ("proposal_id", "uuid", None, "NO", None),
        ("asset", "character varying", 32, "NO", None),
        ("state", "character varying", 32, "NO", None),
        ("proposal_json", "json", None, "YES", None),
        ("generated_at", "timestamp without time zone", None, "YES", None),
        ("expires_at", "timestamp without time zone", None, "YES", None),
        ("decided_at", "timestamp without time zone", None, "YES", None),
        ("requested_by_user_id", "bigint", None, "YES", None),
        ("decided_by_user_id", "bigint", None, "YES", None),
        ("decision", "character varying", 16, "YES", None),
        ("created_at", "timestamp without time zone", None, "YES", "now()"),
        ("updated_at", "timestamp without time zone", None, "YES", "now()"),
    ],
    "managed_assets_history": [
        ("id", "bigint", None, "NO", "nextval('managed_assets_history_id_seq'::regclass)"),
        ("asset", "character varying", 32, "NO", None),
        ("state_from", "character varying", 32, "YES", None),
        ("state_to", "character varying", 32, "NO", None),
        ("actor", "character varying", 64, "NO", None),
        ("event_type", "character varying", 64, "NO", None),
        ("metadata_json", "json", None, "YES", None),
        ("ts", "timestamp without time zone", None, "NO", None),
    ],
}
INDEXES = {
    "managed_proposals": {"(proposal_id)", "(state)", "(asset)", "(expires_at)"},
    "managed_assets_history": {"(id)", "(asset, ts)", "(event_type)"},
}
NOBODY = None
INSERT_PROPOSAL = "INSERT INTO managed_proposals (proposal_id, asset, state) VALUES (%s, %s, %s)"
INSERT_HISTORY = (
    "INSERT INTO managed_assets_history (asset, state_from, state_to, actor, event_type, ts)"
    " VALUES (%s, %s, %s, %s, %s, now())"
)


@pytest.fixture
def connection(still_lease: Lease) -> Iterator[Connection]:
    with psycopg.connect(still_lease.address.conninfo(), autocommit=True) as opened:
        yield opened


@pytest.mark.parametrize("table", COLUMNS)
def test_columns_are_the_contracts(connection: Connection, table: str) -> None:
    found = connection.execute(
        "SELECT column_name, data_type, character_maximum_length, is_nullable,"
        " replace(column_default, 'simclock.', '') FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
        (table,),
    ).fetchall()

    assert found == COLUMNS[table]


@pytest.mark.parametrize("table", INDEXES)
def test_indexes_are_the_contracts(connection: Connection, table: str) -> None:
    found = connection.execute(
        "SELECT substring(indexdef FROM '\\(.*\\)$') FROM pg_indexes WHERE schemaname = 'public' AND tablename = %s",
        (table,),
    ).fetchall()

    assert {row[0] for row in found} == INDEXES[table]


def test_proposal_outlives_the_users_who_requested_and_decided_it(
    connection: Connection,
) -> None:
    connection.execute(INSERT_PROPOSAL, (CLICK, "ETH", "approved"))
    connection.execute("UPDATE managed_proposals SET requested_by_user_id = 23, decided_by_user_id = 23")
    connection.execute("DELETE FROM users")

    left = connection.execute("SELECT requested_by_user_id, decided_by_user_id FROM managed_proposals").fetchall()
    assert left == [(None, None)]


@pytest.mark.parametrize("state", ManagedState)
def test_each_of_the_ten_states_is_accepted(connection: Connection, state: ManagedState) -> None:
    connection.execute(INSERT_PROPOSAL, (CLICK, "ETH", state.value))
    connection.execute(INSERT_HISTORY, ("ETH", state.value, state.value, "worker", "managed.told"))
    connection.execute(INSERT_HISTORY, ("ETH", NOBODY, state.value, "worker", "managed.told"))


@pytest.mark.parametrize("state", ["closed", "Frozen", "frozen ", ""])
def test_any_other_state_is_refused(connection: Connection, state: str) -> None:
    for statement, row in (
        (INSERT_PROPOSAL, (CLICK, "ETH", state)),
        (INSERT_HISTORY, ("ETH", state, "frozen", "worker", "managed.told")),
        (INSERT_HISTORY, ("ETH", "frozen", state, "worker", "managed.told")),
    ):
        with pytest.raises(CheckViolation):
            connection.execute(statement, row)


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        (INSERT_PROPOSAL, (CLICK, None, "frozen")),
        (INSERT_PROPOSAL, (CLICK, "ETH", None)),
        (INSERT_HISTORY, (None, "frozen", "frozen", "worker", "x")),
        (INSERT_HISTORY, ("ETH", "frozen", None, "worker", "x")),
        (INSERT_HISTORY, ("ETH", "frozen", "frozen", None, "x")),
        (INSERT_HISTORY, ("ETH", "frozen", "frozen", "worker", None)),
    ],
)
def test_what_must_be_told_is_told(connection: Connection, statement: str, row: tuple[object, ...]) -> None:
    with pytest.raises(NotNullViolation):
        connection.execute(statement.encode(), row)


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "10000-01-01", "9999-12-31"])
@pytest.mark.parametrize("column", ["generated_at", "expires_at", "decided_at"])
def test_moment_beyond_a_clients_calendar_is_refused(connection: Connection, column: str, moment: str) -> None:
    connection.execute(INSERT_PROPOSAL, (CLICK, "ETH", "frozen"))
    connection.execute(f"UPDATE managed_proposals SET {column} = '9999-12-30'".encode())
    with pytest.raises(CheckViolation):
        connection.execute(f"UPDATE managed_proposals SET {column} = %s".encode(), (moment,))


def test_earlier_tables_are_left_as_they_were(migrations: Migrations) -> None:
    # SR-4: what revision 0001 made is there, line by line, after 0002; and alone again after the downgrade.
    migrations.upgrade("0001")
    earlier = migrations.schema()
    migrations.upgrade("0002")
    both = migrations.schema()
    migrations.downgrade("0001")
    down = migrations.schema()
    migrations.upgrade("0002")

    assert [line for line in earlier if line not in both] == []
    assert [line for line in both if line not in earlier and "managed_" not in line] == []
    assert down == earlier
    assert migrations.schema() == both != earlier
