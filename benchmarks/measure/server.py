"""The server of a benchmark, and databases on it as they would stand in production."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from sim.postgres.address import DatabaseAddress
from sim.postgres.running import RunningServer
from sim.postgres.server import Kind, open_run, stack_template, start_server
from sim.postgres.template import copy_database


@contextmanager
def embedded_server() -> Iterator[RunningServer]:
    """The embedded server with the settings of every scenario run; gone at the end."""
    run = open_run()
    try:
        server = start_server(Kind.EMBEDDED, run, stack_template())
        try:
            yield server
        finally:
            server.stop()
    finally:
        run.close()


def plain_database(server: RunningServer, label: str) -> DatabaseAddress:
    """A new, empty database on the real clock: virtual time would cost our statements what no peer pays."""
    name = server.database_name(label)
    address = server.maintenance.on_database(name)
    with server.connect() as connection:
        copy_database(connection, template=server.blank, name=name)
        for setting in ("search_path", "timezone"):
            connection.execute(
                sql.SQL("ALTER DATABASE {} RESET {}").format(sql.Identifier(name), sql.Identifier(setting))
            )
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        connection.execute("DROP SCHEMA simclock CASCADE")
    return address
