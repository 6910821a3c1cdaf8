"""Which schema the code needs and the database has; apart from the tables, which no worker needs to import."""

from sqlalchemy import Connection

from worker.db.session import execute

REVISION = "0002"
"""The newest migration; a worker refuses a database at an older one. Revisions sort as text."""


def database_revision(connection: Connection) -> str | None:
    """The revision the database is at, or None before the first migration."""
    if not execute(connection, "SELECT to_regclass('alembic_version') IS NOT NULL", {})[0][0]:
        return None
    rows = execute(connection, "SELECT version_num FROM alembic_version", {})
    return str(rows[0][0]) if rows else None
