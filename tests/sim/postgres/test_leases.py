"""A recycled database is as the template, whatever a scenario did to it; or it is copied anew."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sim.errors import SimError
from sim.postgres.embedded import EmbeddedServer
from sim.postgres.leases import LeasePool, PooledLease
from sim.postgres.reset import MAX_DELETE_BYTES
from sim.postgres.run_folder import RunFolder
from sim.postgres.running import RunningServer
from sim.postgres.template import TemplateSource

CONTENT = {
    "traders": [(1, "day", 1, "DAY"), (2, "night", None, "NIGHT")],
    "orders": [(1, 1)],
    "ticks": [],
    "notes": [("kept",)],
    "next trader": [(3,)],
    "next order": [(2,)],
    "moves": [],
}
_QUESTIONS = {
    "traders": "SELECT id, name, first_order, shout FROM traders ORDER BY id",
    "orders": "SELECT id, trader FROM orders ORDER BY id",
    "ticks": "SELECT at FROM ticks",
    "notes": 'SELECT note FROM "Other Desk"."Open ""Note"',
    "next trader": "SELECT nextval('traders_id_seq')",
    "next order": "SELECT nextval('orders_id_seq')",
    "moves": "SELECT id FROM simclock.moves",
}


def content(lease: PooledLease) -> dict[str, list[Any]]:
    with psycopg.connect(lease.address.conninfo()) as connection:
        found = {name: connection.execute(question.encode()).fetchall() for name, question in _QUESTIONS.items()}
        connection.rollback()
    return found


@pytest.fixture
def scenario(lease: PooledLease) -> Iterator[psycopg.Connection]:
    connection = psycopg.connect(lease.address.conninfo(), autocommit=True)
    yield connection
    connection.close()


def test_acquired_database_holds_what_the_template_held(lease: PooledLease) -> None:
    assert content(lease) == CONTENT


def test_rows_sequences_and_clock_of_a_scenario_are_gone_after_recycling(
    lease: PooledLease, scenario: psycopg.Connection
) -> None:
    scenario.execute("INSERT INTO traders (name) SELECT 'new ' || n FROM generate_series(1, 20) n")
    scenario.execute("INSERT INTO orders (trader, quantity) SELECT id, 1 FROM traders")
    scenario.execute("INSERT INTO ticks VALUES ('2026-05-12', 1)")
    scenario.execute("UPDATE orders SET trader = 2 WHERE id = 1")
    scenario.execute("SELECT setval('orders_id_seq', 900)")
    scenario.execute("INSERT INTO simclock.moves (real_at, virtual_at, running) VALUES ('-infinity', now(), false)")
    scenario.close()
    assert content(lease) != CONTENT
    before = lease.rebuilds

    lease.recycle()

    assert content(lease) == CONTENT
    assert lease.rebuilds == before


def test_deleted_seeds_are_back_after_recycling(lease: PooledLease, scenario: psycopg.Connection) -> None:
    scenario.execute("UPDATE traders SET first_order = NULL")
    scenario.execute("DELETE FROM traders")
    scenario.close()

    lease.recycle()

    assert content(lease) == CONTENT


def test_grown_table_is_small_again_after_recycling(lease: PooledLease, scenario: psycopg.Connection) -> None:
    scenario.execute("INSERT INTO orders (trader, quantity) SELECT 1, n FROM generate_series(1, 5000) n")
    grown = scenario.execute("SELECT pg_relation_size('orders')").fetchone()
    assert grown is not None
    assert grown[0] > MAX_DELETE_BYTES
    scenario.close()

    lease.recycle()

    size = lease.connection.execute("SELECT pg_relation_size('public.orders')").fetchone()
    assert size == (8192,)
    assert content(lease) == CONTENT


def test_whoever_is_still_connected_is_disconnected(lease: PooledLease, scenario: psycopg.Connection) -> None:
    scenario.execute("BEGIN")
    scenario.execute("UPDATE traders SET name = 'held' WHERE id = 1")

    lease.recycle()

    with pytest.raises(psycopg.OperationalError):
        scenario.execute("COMMIT")
    assert content(lease) == CONTENT


def test_backend_stopped_by_a_signal_is_woken_and_disconnected(
    lease: PooledLease, scenario: psycopg.Connection
) -> None:
    os.kill(scenario.info.backend_pid, signal.SIGSTOP)

    lease.recycle()

    with pytest.raises(psycopg.OperationalError):
        scenario.execute("SELECT 1")
    assert content(lease) == CONTENT


def test_lease_whose_own_connection_was_cut_recycles_all_the_same(
    lease: PooledLease, scenario: psycopg.Connection
) -> None:
    scenario.execute("SELECT pg_terminate_backend(%s, 5000)", (lease.connection.info.backend_pid,))
    scenario.close()
    before = lease.rebuilds

    lease.recycle()

    assert content(lease) == CONTENT
    assert lease.rebuilds == before


@pytest.mark.parametrize(
    "touch",
    [
        "CREATE TABLE extra (id int)",
        "DROP TABLE ticks",
        "ALTER TABLE orders ADD COLUMN note text",
        "ALTER TABLE orders DROP CONSTRAINT orders_quantity_check",
        "CREATE INDEX ON orders (quantity)",
        'DROP TRIGGER final ON "Other Desk"."Open ""Note"',
        "CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'epoch'::timestamptz $$",
        "GRANT SELECT ON orders TO PUBLIC",
        "DROP SCHEMA simh CASCADE",
        "DROP SCHEMA simclock CASCADE",
        "DROP EVENT TRIGGER simh_sql_drop",
        "ALTER EVENT TRIGGER simh_ddl_command_end DISABLE",
        "SET session_replication_role = replica; CREATE TABLE extra (id int)",
        "SELECT lo_from_bytea(0, 'left behind')",
        "COMMENT ON DATABASE {here} IS 'environment=mainnet'",
        "COMMENT ON DATABASE {here} IS NULL",
        "ALTER DATABASE {here} SET search_path = public",
        "ALTER DATABASE {here} RESET ALL",
        "ALTER ROLE postgres IN DATABASE {here} SET statement_timeout = 1",
    ],
)
def test_touched_schema_or_settings_make_the_database_be_copied_anew(
    lease: PooledLease, scenario: psycopg.Connection, touch: str
) -> None:
    before = lease.rebuilds
    scenario.execute(sql.SQL(touch).format(here=sql.Identifier(lease.address.name)))
    scenario.close()

    lease.recycle()

    assert lease.rebuilds == before + 1
    assert content(lease) == CONTENT
    lease.recycle()
    assert lease.rebuilds == before + 1


@pytest.mark.parametrize(
    "harmless",
    [
        "CREATE TEMPORARY TABLE scratch (id int); DROP TABLE scratch",
        "BEGIN; CREATE TABLE extra (id int); ROLLBACK",
        "TRUNCATE orders, traders RESTART IDENTITY CASCADE",
        "LISTEN command_bus",
        "VACUUM orders",
        "SELECT pg_advisory_lock(7)",
    ],
)
def test_what_leaves_the_schema_alone_is_recycled_without_a_copy(
    lease: PooledLease, scenario: psycopg.Connection, harmless: str
) -> None:
    before = lease.rebuilds
    scenario.execute(harmless.encode())
    scenario.close()

    lease.recycle()

    assert lease.rebuilds == before
    assert content(lease) == CONTENT


def test_database_dropped_by_a_scenario_is_copied_anew(lease: PooledLease, server: RunningServer) -> None:
    with server.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(lease.address.name)))

    lease.recycle()

    assert content(lease) == CONTENT


def test_prepared_transaction_is_rolled_back_and_the_database_copied_anew(
    run: RunFolder, source: TemplateSource
) -> None:
    started = EmbeddedServer({"max_prepared_transactions": "2"}).start(run, source)
    pool = LeasePool(started, label="prepared")
    lease = pool.acquire()
    with psycopg.connect(lease.address.conninfo(), autocommit=True) as connection:
        connection.execute("BEGIN; INSERT INTO ticks VALUES ('2026-05-12', 1); PREPARE TRANSACTION 'left behind'")

    lease.recycle()

    assert lease.rebuilds == 1
    assert content(lease) == CONTENT
    lease.release()
    pool.close()
    started.stop()


def test_pool_hands_a_released_database_out_again(pool: LeasePool) -> None:
    first = pool.acquire()
    second = pool.acquire()
    assert first.address.name != second.address.name
    first.release()

    third = pool.acquire()

    assert third.address == first.address
    second.release()
    third.release()


def test_kept_database_stays_as_it_is(pool: LeasePool, server: RunningServer) -> None:
    kept = pool.acquire()
    with psycopg.connect(kept.address.conninfo()) as connection:
        connection.execute("INSERT INTO traders (name) VALUES ('evidence')")
    kept.keep()

    with pool.acquire() as other:
        assert other.address != kept.address
    with psycopg.connect(kept.address.conninfo()) as connection:
        assert connection.execute("SELECT count(*) FROM traders WHERE name = 'evidence'").fetchone() == (1,)


def test_pools_of_two_processes_share_a_server_and_no_database(server: RunningServer) -> None:
    elsewhere = RunningServer.from_plain(json.loads(json.dumps(server.to_plain())))
    pools = [LeasePool(server, label="gw0"), LeasePool(elsewhere, label="gw1")]

    leases = [pool.acquire() for pool in pools]

    assert leases[0].address != leases[1].address
    assert [content(lease) for lease in leases] == [CONTENT, CONTENT]
    for lease, pool in zip(leases, pools, strict=True):
        lease.release()
        pool.close()
    elsewhere.stop()
    with server.connect() as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname ~ '_gw[01]_'").fetchall()
    assert left == []


def test_database_that_stays_busy_is_refused(lease: PooledLease, scenario: psycopg.Connection) -> None:
    scenario.execute(
        "CREATE OR REPLACE FUNCTION simh.lease_reset(kept int[]) RETURNS text LANGUAGE sql AS $$ SELECT 'busy' $$",
    )
    scenario.close()

    with pytest.raises(SimError) as refused:
        lease.recycle()

    assert refused.value.code == "postgres/lease_not_clean"
    lease.connection.execute("DROP FUNCTION simh.lease_reset")
    lease.recycle()
    assert content(lease) == CONTENT
