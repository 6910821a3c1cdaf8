"""`sim` as an operator types it: marks, migrates and backs up one database, and refuses in one sentence."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import click
import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql

from sim.cli import main
from sim.postgres.account import server_account
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import find_binaries
from sim.postgres.clones import clone
from sim.postgres.running import RunningServer
from sim.rules.registry import RULES
from sim.stack.migrations import Migrations
from worker.db.migrate import tables_losing
from worker.db.revision import REVISION

REPOSITORY = Path(__file__).parents[2]
PASSWORD = "Corr3ctHorseBatteryStaple99"
TIMEOUT_S = 30

MakeDatabase = Callable[..., DatabaseAddress]


def environment(address: DatabaseAddress, **changed: str) -> dict[str, str]:
    return {**address.environment(), "GUI_DB_PASSWORD": PASSWORD, "BINANCE_TESTNET": "true", **changed}


def sim(address: DatabaseAddress, *words: str, **changed: str) -> Result:
    """What `sim db …` did to the database at `address`."""
    return CliRunner().invoke(main, ["db", *words], env=environment(address, **changed))


def refused(result: Result, *named: str) -> str:
    """The one sentence of a refusal, which names each of `named`, no password, and is no traceback."""
    assert (result.exit_code, type(result.exception)) == (1, SystemExit), result.output
    assert [name for name in named if name not in result.output] == []
    assert PASSWORD not in result.output
    assert result.output.startswith("Error: ")
    assert len(result.output.strip().splitlines()) == 1
    return result.output


def execute(address: DatabaseAddress, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def comment_of(address: DatabaseAddress) -> object:
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    return execute(address, query)[0][0]


def tables_of(address: DatabaseAddress) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    return [str(row[0]) for row in execute(address, query)]


def add_user(address: DatabaseAddress) -> None:
    execute(address, "INSERT INTO users (name, email, role) VALUES ('day', 'day@example.org', 'admin')")


@pytest.fixture
def make_database(postgres_server: RunningServer) -> Iterator[MakeDatabase]:
    """Makes databases of their own; without tables unless told, and with the comment they are given."""
    with ExitStack() as made:

        def make(comment: str | None = "environment=testnet", *, migrated: bool = False) -> DatabaseAddress:
            address = made.enter_context(clone(postgres_server, migrated=migrated))
            with psycopg.connect(address.conninfo(), autocommit=True) as connection:
                statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
                connection.execute(statement.format(sql.Identifier(address.name), sql.Literal(comment)))
            return address

        yield make


@pytest.fixture
def with_rows(make_database: MakeDatabase) -> DatabaseAddress:
    address = make_database(migrated=True)
    add_user(address)
    return address


@pytest.mark.parametrize(
    ("found", "options", "left"),
    [
        (None, [], "environment=testnet"),
        ("environment=testnet", [], "environment=testnet"),
        ("the trading GUI", [], "environment=testnet GUI the trading"),
        (None, ["--test"], "environment=testnet purpose=test"),
        ("environment=testnet purpose=test", [], "environment=testnet purpose=test"),
    ],
)
def test_init_marks_the_database_and_keeps_what_stands_there(
    make_database: MakeDatabase, found: str | None, options: list[str], left: str
) -> None:
    address = make_database(found)

    assert sim(address, "init", *options).exit_code == 0
    assert comment_of(address) == left


@pytest.mark.parametrize("found", ["environment=mainnet", "environment=TESTNET", "environment="])
def test_init_leaves_a_database_of_another_environment_alone(make_database: MakeDatabase, found: str) -> None:
    address = make_database(found)

    refused(sim(address, "init", "--test"), "postgres/other_environment", found)
    assert comment_of(address) == found


def test_status_tells_mark_and_schema(make_database: MakeDatabase) -> None:
    address = make_database(None)
    before = sim(address, "status").output
    sim(address, "init")
    sim(address, "migrate")

    assert before.splitlines() == ["marked: no", f"schema: none of {REVISION}"]
    assert sim(address, "status").output.splitlines() == [
        "marked: environment=testnet",
        f"schema: {REVISION} of {REVISION}",
    ]


def test_migrate_and_downgrade_move_the_schema(make_database: MakeDatabase) -> None:
    address = make_database()

    up = sim(address, "migrate")
    migrated = tables_of(address)
    again = sim(address, "migrate")
    down = sim(address, "downgrade", "base")

    assert [result.output for result in (up, again, down)] == [f"schema: {REVISION}\n"] * 2 + ["schema: none\n"]
    assert "commands" in migrated
    assert tables_of(address) == ["alembic_version"]


def test_preview_prints_the_sql_and_runs_none(make_database: MakeDatabase) -> None:
    address = make_database()

    previewed = sim(address, "migrate", "--preview")

    assert previewed.exit_code == 0
    assert "CREATE TABLE commands" in previewed.output
    assert tables_of(address) == []
    execute(address, previewed.output)
    assert sim(address, "status").output.splitlines()[1] == f"schema: {REVISION} of {REVISION}"


MOVES = [["migrate"], ["migrate", "--preview"], ["downgrade", "base", "--yes"]]


@pytest.mark.parametrize("words", MOVES, ids=" ".join)
@pytest.mark.parametrize("comment", [None, "environment=mainnet", "environment=testnet2", "purpose=test"])
def test_database_that_is_not_marked_as_testnet_is_not_moved(
    make_database: MakeDatabase, words: list[str], comment: str | None
) -> None:
    address = make_database(comment, migrated=True)
    before = tables_of(address)

    refused(sim(address, *words), "guard/environment_not_testnet", "sim db init")
    assert tables_of(address) == before


@pytest.mark.parametrize("words", MOVES, ids=" ".join)
@pytest.mark.parametrize("flag", ["", "false", "True", "1", "true "])
def test_nothing_is_moved_unless_the_flag_is_exactly_true(
    make_database: MakeDatabase, words: list[str], flag: str
) -> None:
    address = make_database(migrated=True)
    before = tables_of(address)

    refused(sim(address, *words, BINANCE_TESTNET=flag), "guard/testnet_flag_not_true", "BINANCE_TESTNET")
    assert tables_of(address) == before


@pytest.mark.parametrize("words", MOVES, ids=" ".join)
def test_flag_that_is_not_set_is_told_so(
    make_database: MakeDatabase, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BINANCE_TESTNET", raising=False)
    settings = environment(make_database(migrated=True))
    del settings["BINANCE_TESTNET"]

    refused(CliRunner().invoke(main, ["db", *words], env=settings), "guard/testnet_flag_not_true", "it is not set;")


@pytest.mark.parametrize("words", [["migrate", "--to", "9"], ["downgrade", "9"], ["downgrade", ""]], ids=" ".join)
def test_revision_that_nobody_knows_is_refused(make_database: MakeDatabase, words: list[str]) -> None:
    refused(sim(make_database(migrated=True), *words), "validation/unknown_revision")


@pytest.mark.parametrize("words", MOVES, ids=" ".join)
def test_database_at_a_revision_of_a_newer_installation_is_left_alone(
    make_database: MakeDatabase, words: list[str]
) -> None:
    address = make_database(migrated=True)
    execute(address, "UPDATE alembic_version SET version_num = '9999'")

    refused(sim(address, *words), "validation/unknown_revision", "9999")
    assert "commands" in tables_of(address)


def test_downgrade_does_not_go_up(make_database: MakeDatabase, tmp_path: Path) -> None:
    address = make_database()
    backup = str(tmp_path / "rows.dump")

    refused(sim(address, "downgrade", REVISION, "--backup", backup), "validation/unknown_revision")
    assert (tables_of(address), list(tmp_path.iterdir())) == ([], [])


def test_table_in_the_way_undoes_the_whole_migration(make_database: MakeDatabase) -> None:
    address = make_database()
    execute(address, "CREATE TABLE risk_settings (id int)")

    refused(sim(address, "migrate"), "the database refused", "risk_settings")
    assert tables_of(address) == ["risk_settings"]


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


EVERY_COMMAND = [["init"], ["status"], ["migrate"], ["migrate", "--preview"], ["downgrade", "base"]]


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
@pytest.mark.parametrize(
    "changed",
    [{"GUI_DB_PORT": "1", "GUI_DB_HOST": "127.0.0.1"}, {"GUI_DB_USER": "nobody-here"}, {"GUI_DB_NAME": "nowhere"}],
    ids=["no server", "no such user", "no such database"],
)
def test_database_that_does_not_answer_is_told_without_the_password(
    make_database: MakeDatabase, words: list[str], changed: dict[str, str]
) -> None:
    refused(sim(make_database(), *words, **changed), "the database did not answer", "GUI_DB_HOST")


def test_marking_a_database_of_somebody_else_is_refused_by_the_server(
    postgres_server: RunningServer, make_database: MakeDatabase
) -> None:
    address = make_database(None)
    role = sql.Identifier(f"guest_of_{address.name}")
    with postgres_server.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        result = sim(address, "init", GUI_DB_USER=f"guest_of_{address.name}")
        connection.execute(sql.SQL("DROP ROLE {}").format(role))

    refused(result, "the database refused", "must be owner")


@pytest.mark.parametrize("setting", ["GUI_DB_HOST", "GUI_DB_USER"])
def test_setting_that_is_missing_is_named(make_database: MakeDatabase, setting: str) -> None:
    result = sim(make_database(), "status", **{setting: ""})

    assert result.exit_code == click.UsageError.exit_code
    assert setting.removeprefix("GUI_DB_").lower() in result.output


def test_password_is_no_option() -> None:
    assert [
        name for name in ("init", "status", "migrate", "downgrade", "backup") if "--password" in help_of(name)
    ] == []


def help_of(command: str) -> str:
    return CliRunner().invoke(main, ["db", command, "--help"]).output


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(main, ["--help"])
    shown_of_db = CliRunner().invoke(main, ["db", "-h"])

    assert (shown.exit_code, shown_of_db.exit_code) == (0, 0)
    assert [name for name in ("db", "rules", "reference-run", "life-of-an-asset") if name not in shown.output] == []
    assert [
        name
        for name in ("init", "status", "migrate", "downgrade", "states", "backup")
        if name not in shown_of_db.output
    ] == []


def test_rules_lists_every_rule_worst_first_with_its_sentence() -> None:
    shown = CliRunner().invoke(main, ["rules"])

    lines = [line.split(maxsplit=1) for line in shown.output.splitlines()]
    assert [name for name, _ in lines] == list(RULES)
    assert [name for name, words in lines if words == name] == []


def test_command_runs_as_a_process() -> None:
    command = [sys.executable, "-m", "sim.cli", "rules"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env={}, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(RULES)
