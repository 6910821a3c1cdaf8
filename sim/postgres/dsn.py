"""A server that is already there, named by `SIM_DATABASE_URL`; only one whose database is marked for tests is touched.

The run makes its databases `sim_<run id>_…` beside the named one and drops them at the end. While it lives it holds an
advisory lock; databases of a run whose lock is gone were left behind by a killed one and are dropped at the next start.
"""

import os
import re
import shlex
from collections.abc import Mapping

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import OLDEST_MAJOR
from sim.postgres.leases import copying, drop_database
from sim.postgres.marker import ENVIRONMENT, PURPOSE, read_marker
from sim.postgres.run_folder import RunFolder
from sim.postgres.running import Kind, RunningServer
from sim.postgres.settings import PORT
from sim.postgres.template import TemplateSource, create_templates

PRESENCE_LOCK = 1310
"""First half of the advisory lock that a living run holds; the second half is its run id."""

_CONNECT_TIMEOUT_S = 5
_OUR_NAME = re.compile(r"sim_([0-9a-f]{8})_\w+")


class DsnServer:
    """`--postgres=dsn`. `environment` stands in for the process environment."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def start(self, run: RunFolder, source: TemplateSource) -> RunningServer:
        """The named server, with the templates of this run in it; `stop()` drops all databases of the run.

        Raises: `SimError` (`postgres/no_url`, `postgres/malformed_url`, `postgres/unreachable`,
        `postgres/not_test_database`, `postgres/not_superuser`, `postgres/too_old`).
        Effects: databases that killed runs left behind are dropped.
        """
        maintenance = address_from_url(self._environment.get("SIM_DATABASE_URL"))
        presence = _connect(maintenance)
        try:
            _demand_test_database(presence, maintenance)
            presence.execute("SELECT pg_advisory_lock(%s, %s)", (PRESENCE_LOCK, _as_lock(run.run_id)))
            drop_leftovers(presence)
            blank, migrated = f"sim_{run.run_id}_blank", f"sim_{run.run_id}_migrated"
            try:
                with copying(presence):
                    create_templates(maintenance, source, blank=blank, migrated=migrated)
            except BaseException:
                _drop_run(presence, run.run_id)
                raise
        except BaseException:
            presence.close()
            raise

        def stop() -> None:
            if not presence.closed:
                _drop_run(presence, run.run_id)
                presence.close()

        return RunningServer(
            kind=Kind.DSN,
            maintenance=maintenance,
            blank=blank,
            migrated=migrated,
            run_id=run.run_id,
            run_dir=run.path,
            version=presence.info.parameter_status("server_version") or "unknown",
            supports_signals=Kind.DSN.supports_signals,
            stop=stop,
        )


def address_from_url(url: str | None) -> DatabaseAddress:
    """The database that a libpq URL or connection string names.

    Raises: `SimError` (`postgres/no_url`, `postgres/malformed_url`).
    """
    if not url:
        raise SimError(
            "postgres/no_url",
            "--postgres=dsn needs SIM_DATABASE_URL, such as postgresql://user:password@host:5432/database",
        )
    try:
        parts = conninfo_to_dict(url)
        return DatabaseAddress(
            host=str(parts["host"]),
            port=int(parts.get("port") or PORT),
            name=str(parts["dbname"]),
            user=str(parts["user"]),
            password=str(parts.get("password") or ""),
        )
    except (psycopg.ProgrammingError, KeyError, ValueError) as error:
        # The text itself is not shown: it may hold a password.
        raise SimError(
            "postgres/malformed_url",
            "SIM_DATABASE_URL must name host, user and database in the form "
            "postgresql://user:password@host:5432/database; it does not",
        ) from error


def drop_leftovers(connection: psycopg.Connection) -> list[str]:
    """The databases that were dropped: those of runs that no longer hold their lock.

    A database counts as ours only by its name and a comment that marks it for tests (or none yet).
    """
    rows = connection.execute(
        "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname ~ '^sim_[0-9a-f]{8}_'"
    ).fetchall()
    alive = {
        f"{row[0]:08x}"
        for row in connection.execute(
            "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2",
            (PRESENCE_LOCK,),
        ).fetchall()
    }
    dropped: list[str] = []
    for name, comment in rows:
        ours = _OUR_NAME.fullmatch(name)
        if ours is None or ours[1] in alive or (comment is not None and PURPOSE not in comment.split()):
            continue
        drop_database(connection, name)
        dropped.append(name)
    return dropped


def _connect(address: DatabaseAddress) -> psycopg.Connection:
    try:
        return psycopg.connect(
            address.conninfo(), autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S, application_name="sim-run"
        )
    except psycopg.OperationalError as error:
        said = str(error).strip().splitlines()[-1]
        raise SimError(
            "postgres/unreachable",
            f"cannot connect to database {address.name} on {address.host}:{address.port} as {address.user}: {said}; "
            "correct SIM_DATABASE_URL or start that server",
        ) from error


def _demand_test_database(connection: psycopg.Connection, address: DatabaseAddress) -> None:
    words = read_marker(connection)
    if PURPOSE not in words or any(word.startswith("environment=") and word != ENVIRONMENT for word in words):
        found = " ".join(sorted(words)) or "no comment"
        where = ["--host", address.host, "--port", str(address.port), "--name", address.name, "--user", address.user]
        command = shlex.join(["sim", "db", "init", "--test", *where])
        raise SimError(
            "postgres/not_test_database",
            f"database {address.name} on {address.host} is not marked as a test database: expected '{PURPOSE}' in its "
            f"comment, found {found!r}; if it may be used for tests, run `{command}` with its password in "
            "GUI_DB_PASSWORD",
        )
    row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if row is None or not row[0]:
        raise SimError(
            "postgres/not_superuser",
            f"role {address.user} on {address.host} is no superuser; a clean database per scenario needs event "
            "triggers and session_replication_role, so name a superuser of a test server in SIM_DATABASE_URL",
        )
    if connection.info.server_version < OLDEST_MAJOR * 10_000:
        found = connection.info.parameter_status("server_version") or "unknown"
        raise SimError(
            "postgres/too_old", f"expected Postgres {OLDEST_MAJOR} or newer on {address.host}, found {found}"
        )


def _drop_run(connection: psycopg.Connection, run_id: str) -> None:
    names = connection.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname::text, %s)", (f"sim_{run_id}_",)
    ).fetchall()
    for (name,) in names:
        drop_database(connection, name)


def _as_lock(run_id: str) -> int:
    """The run id as the signed number that an advisory lock takes."""
    number = int(run_id, 16)
    return number - (1 << 32) if number >= 1 << 31 else number
