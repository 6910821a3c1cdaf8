"""The databases that all others are copied from: a blank one under virtual time, and a migrated one.

Both carry the test marker. A copy of a database does not take its settings and its comment along, so whoever copies
calls `dress`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL

from sim.postgres.address import DatabaseAddress
from sim.postgres.marker import ENVIRONMENT, PURPOSE, write_marker
from sim.postgres.reset import install_reset

SEARCH_PATH = "public, simclock, pg_catalog"
"""`public` first, so that tables land there; `simclock` before `pg_catalog`, so that now() is virtual."""

SIMCLOCK_SQL = Path(__file__).parent / "sql" / "simclock.sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSource:
    """How to make the migrated template.

    `build` gets the address of a blank, marked database and leaves tables and seed rows in it, all connections closed.
    `key` changes whenever `build` would make something else: it names what is kept between runs.
    """

    key: str
    build: Callable[[DatabaseAddress], None]


def stack_template() -> TemplateSource:
    """The stack's own schema at its newest migration."""
    folder = Path(__file__).parents[2] / "worker"
    digest = hashlib.sha256()
    for path in sorted([*(folder / "db").rglob("*.py"), *(folder / "contracts").rglob("*.py")]):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return TemplateSource(key=digest.hexdigest(), build=_migrate)


def sqlalchemy_url(address: DatabaseAddress) -> str:
    """The same database as SQLAlchemy names it, password included."""
    return URL.create(
        "postgresql+psycopg",
        username=address.user,
        password=address.password or None,
        database=address.name,
        query={"host": address.host, "port": str(address.port)},
    ).render_as_string(hide_password=False)


def create_templates(maintenance: DatabaseAddress, source: TemplateSource, *, blank: str, migrated: str) -> None:
    """Effects: the databases `blank` and `migrated` exist; neither can be connected to, only copied."""
    with psycopg.connect(maintenance.conninfo(), autocommit=True) as connection:
        # One collation on every kind of server, so that ORDER BY and index order never differ between them.
        connection.execute(
            sql.SQL(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' STRATEGY FILE_COPY"
            ).format(sql.Identifier(blank))
        )
        dress(connection, blank)
        with psycopg.connect(maintenance.on_database(blank).conninfo()) as made:
            made.execute(SIMCLOCK_SQL.read_bytes())
        _vacuum(maintenance.on_database(blank))
        copy_database(connection, template=blank, name=migrated)
        source.build(maintenance.on_database(migrated))
        with psycopg.connect(maintenance.on_database(migrated).conninfo()) as made:
            install_reset(made, settings=(f"search_path={SEARCH_PATH}", "TimeZone=UTC"), marker=(ENVIRONMENT, PURPOSE))
        _vacuum(maintenance.on_database(migrated))
        for name in (blank, migrated):
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))


def copy_database(connection: psycopg.Connection, *, template: str, name: str, words: tuple[str, ...] = ()) -> None:
    """Effects: a new database `name` like `template`; `words` are added to its comment.

    FILE_COPY is half the time of WAL_LOG here. The caller sees to it that few copies are made at once: copying gets
    slower in total with every further client.
    """
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
            sql.Identifier(name), sql.Identifier(template)
        )
    )
    dress(connection, name, words)


def dress(connection: psycopg.Connection, name: str, words: tuple[str, ...] = ()) -> None:
    """Effects: database `name` has the search path of virtual time, UTC, and the test marker."""
    write_marker(connection, name, [ENVIRONMENT, PURPOSE, *words])
    database = sql.Identifier(name)
    connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = {}").format(database, sql.SQL(SEARCH_PATH)))
    connection.execute(sql.SQL("ALTER DATABASE {} SET timezone = 'UTC'").format(database))


def _vacuum(address: DatabaseAddress) -> None:
    """Effects: copies of the database are planned well at once and leave autovacuum nothing to do."""
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        connection.execute("VACUUM (FREEZE, ANALYZE)")


def _migrate(address: DatabaseAddress) -> None:
    # Alembic is slow to import, and most runs find a kept template.
    from worker.db import migrate

    # Migrations demand the flag; a run that lacks it builds a test database all the same.
    migrate.upgrade(sqlalchemy_url(address), environ={"BINANCE_TESTNET": "true"})
