"""The words in `COMMENT ON DATABASE` that say what a database may be used for.

`environment=testnet` allows migrations (contract §3); `purpose=test` allows the harness to use the server of that
database for tests.
"""

from typing import LiteralString

import psycopg
from psycopg import sql

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress

ENVIRONMENT = "environment=testnet"
PURPOSE = "purpose=test"

_COMMENT: LiteralString = (
    "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = current_database()"
)


def read_marker(connection: psycopg.Connection) -> frozenset[str]:
    """The words in the comment of the connected database."""
    row = connection.execute(_COMMENT).fetchone()
    return frozenset(str(row[0]).split()) if row else frozenset()


def init_database(address: DatabaseAddress, *, test: bool) -> str:
    """The comment the database now has: `environment=testnet`, and with `test` also `purpose=test`.

    Words that are there already stay.
    Raises: `SimError` (`postgres/other_environment`) for a database that is marked as any other environment.
    Effects: the comment of the database at `address`.
    """
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        found = read_marker(connection)
        other = sorted(word for word in found if word.startswith("environment=") and word != ENVIRONMENT)
        if other:
            raise SimError(
                "postgres/other_environment",
                f"database {address.name} is marked {other[0]!r}, expected {ENVIRONMENT!r} or no mark; "
                "choose a testnet database, this one is left as it is",
            )
        kept = found - {ENVIRONMENT, PURPOSE} | (found & {PURPOSE} if not test else set())
        words = [ENVIRONMENT, *([PURPOSE] if test else []), *sorted(kept)]
        write_marker(connection, address.name, words)
    return " ".join(words)


def write_marker(connection: psycopg.Connection, database: str, words: list[str]) -> None:
    """Effects: the comment of `database`, which need not be the connected one, is `words`."""
    connection.execute(
        sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(" ".join(words)))
    )
