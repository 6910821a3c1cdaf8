"""`sim db` where rows are at stake: what is backed up, offered, asked, and refused in one sentence."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
from psycopg import sql

from sim.postgres.account import server_account
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import find_binaries
from sim.postgres.running import RunningServer
from sim.stack.migrations import Migrations
from tests.sim.conftest import (
    REPOSITORY,
    TIMEOUT_S,
    MakeDatabase,
    add_user,
    environment,
    execute,
    refused,
    sim,
    tables_of,
)
from worker.db.migrate import tables_losing
from worker.db.revision import REVISION


def test_rows_are_not_migrated_without_a_word_about_their_backup(with_rows: DatabaseAddress, tmp_path: Path) -> None:
    refused(sim(with_rows, "migrate"), "postgres/backup_undecided", "--backup FILE", "--no-backup")

    assert sim(with_rows, "migrate", "--no-backup").exit_code == 0
    backed_up = sim(with_rows, "migrate", "--backup", str(tmp_path / "rows.dump"))
    assert backed_up.output.splitlines()[0].startswith(f"backed up to {tmp_path / 'rows.dump'} (")
    assert (tmp_path / "rows.dump").read_bytes().startswith(b"PGDMP")


def test_backup_and_no_backup_exclude_each_other(with_rows: DatabaseAddress, tmp_path: Path) -> None:
    result = sim(with_rows, "migrate", "--no-backup", "--backup", str(tmp_path / "rows.dump"))

    assert result.exit_code == click.UsageError.exit_code
    assert list(tmp_path.iterdir()) == []


def test_rows_are_not_dropped_without_a_word_about_their_backup(with_rows: DatabaseAddress, tmp_path: Path) -> None:
    refused(
        sim(with_rows, "downgrade", "base"), "postgres/backup_undecided", "lost (users);", "--backup FILE", "or --yes"
    )
    assert "users" in tables_of(with_rows)

    backed_up = sim(with_rows, "downgrade", "base", "--backup", str(tmp_path / "rows.dump"))
    assert backed_up.output.splitlines()[0].startswith(f"backed up to {tmp_path / 'rows.dump'} (")
    assert (tmp_path / "rows.dump").read_bytes().startswith(b"PGDMP")
    assert tables_of(with_rows) == ["alembic_version"]


def test_rows_are_dropped_without_a_backup_when_told_so(with_rows: DatabaseAddress) -> None:
    assert sim(with_rows, "downgrade", "base", "--yes").output == "schema: none\n"


def test_downgrade_says_nothing_of_rows_in_tables_that_stay(with_rows: DatabaseAddress) -> None:
    assert sim(with_rows, "downgrade", "0001").output == "schema: 0001\n"
    assert execute(with_rows, "SELECT name FROM users") == [("day",)]


def test_tables_that_lose_are_read_from_the_statements() -> None:
    statements = (
        'BEGIN;\n\nDROP TABLE users;\n\nALTER TABLE commands DROP COLUMN subject;\n\nDROP TABLE "order";\n\n'
        "DROP INDEX commands_due;\n\nALTER TABLE audit_events DROP CONSTRAINT x;\n\n"
    )

    assert tables_losing(statements) == {"users", "commands", "order"}


def at_a_terminal(address: DatabaseAddress, *words: str, typed: str) -> subprocess.CompletedProcess[str]:
    """What `sim db …` did for a person who types `typed`."""
    terminal, side_of_sim = pty.openpty()
    os.write(terminal, typed.encode())
    done = subprocess.run(
        [sys.executable, "-m", "sim.cli", "db", *words],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], **environment(address)},
        stdin=side_of_sim,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(side_of_sim)
    os.close(terminal)
    return done


def test_person_at_a_terminal_is_offered_a_backup_before_rows_are_dropped(
    with_rows: DatabaseAddress, tmp_path: Path
) -> None:
    done = at_a_terminal(with_rows, "downgrade", "base", typed=f"y\n{tmp_path / 'offered.dump'}\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert "holds rows that will be lost (users); back it up first?" in done.stdout
    assert done.stdout.endswith("schema: none\n")
    assert (tmp_path / "offered.dump").read_bytes().startswith(b"PGDMP")


@pytest.mark.parametrize(
    ("typed", "code", "left"), [("n\ny\n", 0, []), ("n\nn\n", 1, ["users"])], ids=["goes on", "stops"]
)
def test_person_who_wants_no_backup_is_asked_once_more_before_rows_are_dropped(
    with_rows: DatabaseAddress, typed: str, code: int, left: list[str]
) -> None:
    done = at_a_terminal(with_rows, "downgrade", "base", typed=typed)

    assert done.returncode == code
    assert "go on without a backup?" in done.stdout
    assert [name for name in tables_of(with_rows) if name == "users"] == left


def test_person_at_a_terminal_is_offered_a_backup(with_rows: DatabaseAddress, tmp_path: Path) -> None:
    done = at_a_terminal(with_rows, "migrate", typed=f"y\n{tmp_path / 'offered.dump'}\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert "back it up first?" in done.stdout
    assert done.stdout.endswith(f"schema: {REVISION}\n")
    assert (tmp_path / "offered.dump").read_bytes().startswith(b"PGDMP")


def test_backup_never_replaces_a_file(with_rows: DatabaseAddress, tmp_path: Path) -> None:
    target = tmp_path / "rows.dump"
    target.write_bytes(b"an earlier one")

    refused(sim(with_rows, "backup", str(target)), "postgres/backup_exists")
    refused(sim(with_rows, "migrate", "--backup", str(target)), "postgres/backup_exists")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"an earlier one"]


def test_migration_that_is_refused_makes_no_backup_and_asks_nothing(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    address = make_database("environment=mainnet", migrated=True)
    add_user(address)

    refused(sim(address, "migrate", "--backup", str(tmp_path / "rows.dump")), "guard/environment_not_testnet")
    refused(sim(address, "migrate"), "guard/environment_not_testnet")
    refused(sim(address, "downgrade", "base"), "guard/environment_not_testnet")
    refused(sim(address, "downgrade", "base", "--backup", str(tmp_path / "rows.dump")), "guard/environment_not_testnet")
    assert list(tmp_path.iterdir()) == []


def test_backup_that_fails_leaves_nothing(with_rows: DatabaseAddress, tmp_path: Path) -> None:
    refused(sim(with_rows, "backup", str(tmp_path / "missing" / "rows.dump")), "postgres/backup_failed")
    refused(sim(with_rows, "backup", str(tmp_path / "rows.dump"), GUI_DB_NAME="nowhere"), "postgres/backup_failed")

    assert list(tmp_path.iterdir()) == []


def test_backup_restores_to_the_same_schema_and_rows(
    with_rows: DatabaseAddress, make_database: MakeDatabase, tmp_path: Path
) -> None:
    restored = make_database()
    assert sim(with_rows, "backup", str(tmp_path / "rows.dump")).exit_code == 0

    program = find_binaries(server_account()).program("pg_restore")
    where = ["--host", restored.host, "--port", str(restored.port), "--username", restored.user]
    command = [str(program), "--schema=public", "--dbname", restored.name, *where, str(tmp_path / "rows.dump")]
    subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True)

    assert Migrations(restored).schema() == Migrations(with_rows).schema()
    everything = "SELECT users::text, (SELECT version_num FROM alembic_version) FROM users"
    assert execute(restored, everything) == execute(with_rows, everything)


def test_database_with_an_awkward_name_is_backed_up(
    postgres_server: RunningServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    address = make_database(migrated=True)
    awkward = address.on_database(f"{address.name} it's dbname=other")
    with postgres_server.connect() as connection:
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        names = sql.Identifier(address.name), sql.Identifier(awkward.name)
        connection.execute(rename.format(*names))
        result = sim(awkward, "backup", str(tmp_path / "rows.dump"))
        connection.execute(rename.format(*reversed(names)))

    assert result.exit_code == 0, result.output
    assert (tmp_path / "rows.dump").read_bytes().startswith(b"PGDMP")
