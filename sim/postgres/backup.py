"""A backup of one database by `pg_dump -Fc`, and whether it is worth one."""

import os
import subprocess
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sim.errors import SimError
from sim.postgres.account import server_account
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import find_binaries

MAX_DUMP_S = 3_600
_TABLES: LiteralString = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


def tables_with_rows(address: DatabaseAddress) -> tuple[str, ...]:
    """The names of the tables of schema public, but Alembic's own, that hold a row."""
    found = []
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        names = [row[0] for row in connection.execute(_TABLES).fetchall()]
        for name in names:
            if name == "alembic_version":
                continue
            probe = sql.SQL("SELECT EXISTS (SELECT 1 FROM public.{})").format(sql.Identifier(name))
            row = connection.execute(probe).fetchone()
            if row is not None and row[0]:
                found.append(name)
    return tuple(found)


def back_up(address: DatabaseAddress, target: Path) -> int:
    """The size in bytes of the backup of `address` now at `target`; restore it with `pg_restore`.

    Raises: `SimError` (`postgres/backup_exists`) rather than overwrite; (`postgres/backup_failed`) with the dump's own
    words, and nothing is left at `target`.
    """
    if target.exists():
        raise SimError("postgres/backup_exists", f"{target} exists already; name a new file, it is never overwritten")
    if not target.parent.is_dir():
        raise SimError("postgres/backup_failed", f"there is no folder {target.parent}; make it first")
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    program = find_binaries(server_account()).program("pg_dump")
    command = [str(program), "-Fc", "--no-password", f"--file={scratch}", _where(address)]
    environment = {**os.environ, "PGPASSWORD": address.password}
    try:
        # The dump holds every row: it comes into being as its owner's alone, whatever the umask.
        os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=MAX_DUMP_S, check=False)
        if done.returncode != 0:
            raise SimError("postgres/backup_failed", f"pg_dump said: {done.stderr.strip()[-500:]}")
        os.link(scratch, target)
    except subprocess.TimeoutExpired as error:
        raise SimError(
            "postgres/backup_failed", f"pg_dump was not done after {MAX_DUMP_S} s; look at what holds its tables"
        ) from error
    except OSError as error:
        raise SimError("postgres/backup_failed", f"cannot write {target}: {error.strerror}") from error
    finally:
        scratch.unlink(missing_ok=True)
    return target.stat().st_size


def _where(address: DatabaseAddress) -> str:
    """A connection string without the password, which must not show in the process table."""
    return make_conninfo(host=address.host, port=address.port, user=address.user, dbname=address.name)
