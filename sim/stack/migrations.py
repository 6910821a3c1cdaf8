"""Migrations of a database of its own, as a scenario moves them, and its schema as text to compare."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, LiteralString

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from sim.postgres.address import DatabaseAddress
from sim.postgres.template import sqlalchemy_url
from sim.stack.migration_steps import telling_steps
from sim.timeline import Timeline
from worker.db import migrate
from worker.db.schema import metadata

TESTNET: Mapping[str, str] = MappingProxyType({"BINANCE_TESTNET": "true"})

_CATALOG: tuple[LiteralString, ...] = (
    "SELECT format('column %s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) "
    "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    "SELECT format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid)) "
    "FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY conrelid::regclass::text, conname",
    "SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname",
    "SELECT format('sequence %s', sequencename) FROM pg_sequences WHERE schemaname = 'public' ORDER BY sequencename",
    "SELECT format('function %s', p.oid::regprocedure) FROM pg_proc AS p "
    "WHERE p.pronamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT format('type %s', typname) FROM pg_type WHERE typnamespace = 'public'::regnamespace "
    "AND typtype IN ('e', 'd') ORDER BY 1",
)

_OWN = "alembic_version"
"""Alembic's own table stays when everything else is taken down; it holds the revision and nothing of ours."""


class Migrations:
    """The migrations of one database, each step told on `timeline`. `environ` is that of whoever migrates."""

    def __init__(
        self, address: DatabaseAddress, *, environ: Mapping[str, str] = TESTNET, timeline: Timeline | None = None
    ) -> None:
        self.environ = environ
        self._timeline = Timeline() if timeline is None else timeline
        self._address = address
        self._url = sqlalchemy_url(address)
        self._blank = self.schema()

    def upgrade(self, revision: str = "head") -> None:
        """See `worker.db.migrate.upgrade`."""
        with self._telling("upgrade"):
            migrate.upgrade(self._url, revision, environ=self.environ)

    def downgrade(self, revision: str) -> None:
        """See `worker.db.migrate.downgrade`."""
        with self._telling("downgrade"):
            migrate.downgrade(self._url, revision, environ=self.environ)

    def preview(self) -> str:
        """See `worker.db.migrate.preview`."""
        return migrate.preview(self._url, environ=self.environ)

    def run(self, script: str) -> None:
        """Effects: the SQL text is run as it is."""
        with psycopg.connect(self._address.conninfo(), autocommit=True) as connection:
            connection.execute(script.encode())

    def mark(self, comment: str | None) -> None:
        """Effects: the database's comment is `comment`."""
        statement = sql.SQL("COMMENT ON DATABASE {} IS {}").format(
            sql.Identifier(self._address.name), sql.Literal(comment)
        )
        with psycopg.connect(self._address.conninfo(), autocommit=True) as connection:
            connection.execute(statement)

    def schema(self) -> list[str]:
        """Everything in schema public as the catalog tells it, a line each; Alembic's own table left out."""
        with psycopg.connect(self._address.conninfo(), autocommit=True) as connection:
            lines = [row[0] for query in _CATALOG for row in connection.execute(query).fetchall()]
        return [line for line in lines if _OWN not in line]

    def blank_schema(self) -> list[str]:
        """The schema before the first migration."""
        return self._blank

    def differences_to_code(self) -> list[object]:
        """What Alembic's comparison finds between the database and `worker.db.schema`; empty when they agree."""
        engine = create_engine(self._url, poolclass=NullPool)
        with engine.connect() as connection:
            # Without the harness's own schema, whose tables would count as surplus.
            connection.exec_driver_sql("SET search_path = public, pg_catalog")
            context = MigrationContext.configure(connection, opts={"compare_server_default": True})
            return list(compare_metadata(context, metadata))

    def _telling(self, direction: str) -> AbstractContextManager[None]:
        flag = self.environ.get("BINANCE_TESTNET")
        return telling_steps(self._timeline, self._connect, direction=direction, flag=flag)

    def _connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._address.conninfo(), autocommit=True)
