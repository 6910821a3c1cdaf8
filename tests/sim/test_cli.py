"""`sim` as an operator types it: marks and migrates one database, and refuses in one sentence."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from psycopg import sql

from sim.cli import main
from sim.postgres.running import RunningServer
from sim.rules.registry import RULES
from tests.sim.conftest import (
    PASSWORD,
    REPOSITORY,
    TIMEOUT_S,
    MakeDatabase,
    comment_of,
    environment,
    execute,
    refused,
    sim,
    tables_of,
)
from worker.db.revision import REVISION


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


def test_url_in_place_of_a_host_is_refused_and_not_shown(make_database: MakeDatabase) -> None:
    url = f"postgresql://me:{PASSWORD}@127.0.0.1/db"
    refused(sim(make_database(), "status", "--host", url), "postgres/led_elsewhere", "GUI_DB_HOST")


@pytest.mark.parametrize("variable", ["PGHOSTADDR", "PGSERVICE"])
def test_environment_that_leads_libpq_elsewhere_is_refused(make_database: MakeDatabase, variable: str) -> None:
    address = make_database(None)

    refused(sim(address, "init", **{variable: "203.0.113.9"}), "postgres/led_elsewhere", variable)
    assert comment_of(address) is None
    assert sim(address, "init", PGHOST="203.0.113.9").exit_code == 0


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
