"""A schedule stopped between two steps: database and home as they are at that instant, for a person to look at.

With a terminal a shell is opened in the home, with `psql` on its path and set to the database; the order goes on when
it is left. Without one, what can be copied is copied, and the order goes on at once.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from sim.postgres.account import server_account
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import find_binaries
from sim.schedule.hub import Moment
from sim.schedule.retelling import tell_moment
from sim.stack.rows import TABLES
from sim.stack.stack import Stack
from worker.guards.secrets import scrub_text

_SECRETS = ".env"


def look_around(stack: Stack, moment: Moment, step: int, copies: Path) -> None:
    """Returns when the order may go on. Effects: a shell, or copies in the folder `copies`; it is told which."""
    print("\n".join(_told(stack, moment, step)))
    if sys.stdin is not None and sys.stdin.isatty():
        shell = os.environ.get("SHELL", "/bin/sh")
        print(f"a shell in the home follows; {_hint()} Leave it, and the order goes on.", flush=True)
        subprocess.run([shell], cwd=stack.home, env=_environment(stack.lease.address), check=False)
        return
    _copy(stack, copies)
    print(
        f"no terminal to open a shell at: home and committed rows are copied to {copies}; the order goes on", flush=True
    )


def _told(stack: Stack, moment: Moment, step: int) -> Iterator[str]:
    yield f"PAUSED where step {step} is due; every actor stands still"
    yield from (f"  {line}" for line in tell_moment(moment))
    address = stack.lease.address
    yield f"  database  host={address.host} port={address.port} dbname={address.name} user={address.user}"
    yield f"  home      {stack.home}"


def _hint() -> str:
    if _psql() is not None:
        return "`psql` shows the database; what no actor has committed only its own session sees."
    return "no psql was found, so see the database with `python -i -c 'import psycopg; db = psycopg.connect()'`."


def _psql() -> Path | None:
    """The `psql` to offer: on the path, or beside the packaged server."""
    found = shutil.which("psql")
    if found is not None:
        return Path(found)
    packaged = find_binaries(server_account()).bin_dir / "psql"
    return packaged if packaged.exists() else None


def _environment(address: DatabaseAddress) -> dict[str, str]:
    """The shell's own, with libpq's variables for this database: psql and psycopg need no arguments."""
    psql, paths = _psql(), os.environ.get("PATH", os.defpath)
    return {
        **os.environ,
        "PATH": paths if psql is None else f"{psql.parent}{os.pathsep}{paths}",
        "PGHOST": address.host,
        "PGPORT": str(address.port),
        "PGDATABASE": address.name,
        "PGUSER": address.user,
        "PGPASSWORD": address.password,
        "PGOPTIONS": "-c TimeZone=UTC",
    }


def _copy(stack: Stack, copies: Path) -> None:
    """Effects: `copies` holds the home but its secrets, and the committed rows as JSON."""
    shutil.rmtree(copies, ignore_errors=True)
    shutil.copytree(stack.home, copies / "home", ignore=shutil.ignore_patterns(_SECRETS), symlinks=True)
    with psycopg.connect(stack.lease.address.conninfo(), autocommit=True, row_factory=dict_row) as connection:
        rows = {table: connection.execute(f"TABLE {table}".encode()).fetchall() for table in TABLES}
    (copies / "rows.json").write_text(scrub_text(json.dumps(rows, indent=2, default=str)) + "\n", encoding="utf-8")
