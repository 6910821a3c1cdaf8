"""SQLAlchemy's Postgres dialect, told what it would otherwise ask the server at the first connection of every start.

The answers are there already: the driver holds what the server reported when the connection was made, and the
isolation level is the one that we set. Source: PostgreSQL's protocol, "ParameterStatus"; SQLAlchemy's
`Dialect.initialize`.
"""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.interfaces import IsolationLevel

DRIVER_NAME = "postgresql+command_bus"
"""The first part of a URL that takes this dialect."""

ISOLATION_LEVEL: IsolationLevel = "READ COMMITTED"
"""What a transaction has unless it says otherwise; `worker.db.session` sets it with the connection."""

DEFAULT_SCHEMA = "public"
"""Only reflection asks for it, which the migrations alone do, by an engine of their own."""


class CommandBusDialect(PGDialect_psycopg):
    """The dialect of psycopg, without the five round trips before the first statement."""

    supports_statement_cache = True

    def _get_server_version_info(self, connection: Connection) -> tuple[int, ...]:
        major, minor = divmod(_driver(connection).info.server_version, 10_000)
        return (major, minor)

    def _get_default_schema_name(self, _connection: Connection) -> str:
        return DEFAULT_SCHEMA

    def get_default_isolation_level(self, _dbapi_connection: Any) -> IsolationLevel:
        """See `ISOLATION_LEVEL`."""
        return ISOLATION_LEVEL

    def _set_backslash_escapes(self, connection: Connection) -> None:
        self._backslash_escapes = _driver(connection).info.parameter_status("standard_conforming_strings") == "off"


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


registry.register(DRIVER_NAME.replace("+", "."), __name__, CommandBusDialect.__name__)
