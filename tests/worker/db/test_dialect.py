"""What the dialect does not ask the server is what the server would have said."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from sim.postgres.leases import Lease, LeasePool
from worker.db.revision import REVISION, database_revision
from worker.db.session import connect_autocommit, execute, open_engine, url_of

NAME = "dialect-test"
ASKED = "SELECT state, query FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"


@pytest.fixture
def lease(lease_pool: LeasePool) -> Iterator[Lease]:
    with lease_pool.acquire() as acquired:
        yield acquired


@pytest.fixture
def engine(lease: Lease) -> Engine:
    return open_engine(url_of(lease.address), application_name=NAME)


def outside(lease: Lease) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection that is none of the worker's."""
    return psycopg.connect(lease.address.conninfo(), autocommit=True)


def learnt(engine: Engine) -> dict[str, object]:
    """What the engine's dialect knows of the server after its first connection, and did not know before."""
    before = dict(vars(engine.dialect))
    with engine.connect():
        after = dict(vars(engine.dialect))
    plain = (bool, int, str, tuple)
    return {
        name: value
        for name, value in after.items()
        if isinstance(value, plain) and (name not in before or before[name] != value)
    }


def test_dialect_knows_what_sqlalchemys_own_asks_for(engine: Engine, lease: Lease) -> None:
    asking = create_engine(url_of(lease.address), poolclass=NullPool, use_native_hstore=False)

    known = learnt(asking)

    assert learnt(engine) == known
    assert set(known) >= {"server_version_info", "default_schema_name", "default_isolation_level", "_backslash_escapes"}


def test_first_connection_of_a_start_says_nothing_before_its_first_statement(engine: Engine, lease: Lease) -> None:
    with connect_autocommit(engine) as connection, outside(lease) as outsider:
        assert outsider.execute(ASKED, (NAME,)).fetchall() == [("idle", "")]

        execute(connection, "SELECT 1", {})

        assert outsider.execute(ASKED, (NAME,)).fetchall() == [("idle", "SELECT 1")]


def test_transaction_is_read_committed_whatever_the_database_prefers(engine: Engine, lease: Lease) -> None:
    name = sql.Identifier(lease.address.name)
    preferring = sql.SQL("ALTER DATABASE {} SET default_transaction_isolation TO 'serializable'").format(name)
    with outside(lease) as outsider:
        outsider.execute(preferring)
    asked = "SHOW transaction_isolation"

    with outside(lease) as outsider:
        assert outsider.execute(asked).fetchall() == [("serializable",)]
    with engine.connect() as connection:
        assert connection.execute(text(asked)).scalar() == "read committed"


def test_text_with_a_backslash_is_taken_as_it_is(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text(r"SELECT 'a\b'")).scalar() == "a\\b"


def test_revision_is_none_before_the_first_migration_and_its_own_after(engine: Engine, lease: Lease) -> None:
    with connect_autocommit(engine) as connection:
        migrated = database_revision(connection)
        execute(connection, "DROP TABLE alembic_version", {})
        assert (migrated, database_revision(connection)) == (REVISION, None)
        assert execute(connection, "SELECT 1", {}) == [(1,)]
