"""The bot as a process: how it starts, paces itself, goes on, refuses and stops, on real Postgres."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sim.fake_bot import home as paths
from sim.fake_bot.json_file import line
from sim.fake_bot.portfolio import portfolio_document, starting_portfolio
from sim.fake_bot.reading import (
    JournalEvent,
    content_of,
    explain_file,
    explain_portfolio,
    explain_portfolio_change,
    read_journal,
    sha256_of,
)
from sim.postgres.leases import Lease
from sim.postgres.private import private_server
from sim.postgres.run_folder import RunFolder
from sim.postgres.template import stack_template
from tests.sim.fake_bot.conftest import EPOCH, StartBot, WarmBot, environment_of, make_home


@pytest.fixture
def environment(home: Path, database: Lease) -> dict[str, str]:
    return environment_of(home, database.address.environment())


def heartbeats(database: Lease) -> list[tuple[Any, ...]]:
    return database.connection.execute(
        "SELECT pid, mode, cycle, portfolio_sha256, created_at::text FROM bot_statuses ORDER BY id"
    ).fetchall()


def portfolio_sha256(home: Path) -> str | None:
    return sha256_of(content_of(home / paths.PORTFOLIO))


def test_paced_bot_runs_one_cycle_per_command_and_reports_it(
    start_bot: StartBot, environment: dict[str, str], home: Path, database: Lease
) -> None:
    bot = start_bot(environment, "--paced", "--trade-every", "3")
    reports = [bot.cycle() for _ in range(4)]
    bot.say("stop")
    assert bot.end().exit_code == 0

    assert [report["cycle"] for report in reports] == [1, 2, 3, 4]
    assert [report["wrote_portfolio"] for report in reports] == [True, False, True, False]
    assert [report["portfolio_sha256"] for report in reports][1::2] == [
        report["portfolio_sha256"] for report in reports
    ][0::2]
    expected = [(bot.process.pid, "paper", report["cycle"], report["portfolio_sha256"]) for report in reports]
    assert [row[:4] for row in heartbeats(database)] == expected
    assert {row[4] for row in heartbeats(database)} == {"2026-05-12 09:00:00+00"}
    written = [line for line in read_journal(home).of(JournalEvent.PORTFOLIO_WRITE)]
    assert [(line.pid, line.cycle, line.at) for line in written] == [
        (bot.process.pid, 1, EPOCH),
        (bot.process.pid, 3, EPOCH),
    ]
    assert portfolio_sha256(home) == reports[-1]["portfolio_sha256"]


def test_paced_bot_exits_at_the_end_of_its_input(start_bot: StartBot, environment: dict[str, str]) -> None:
    bot = start_bot(environment, "--paced")
    bot.cycle()
    assert bot.end().exit_code == 0


def test_paced_bot_refuses_a_command_it_does_not_know(start_bot: StartBot, environment: dict[str, str]) -> None:
    bot = start_bot(environment, "--paced")
    bot.say("buy everything")
    ended = bot.end()
    assert (ended.exit_code, ended.errors.count("\n")) == (2, 1)
    assert "bot/unknown_command" in ended.errors


def test_paced_bot_gives_up_when_nobody_speaks(start_bot: StartBot, environment: dict[str, str]) -> None:
    bot = start_bot(environment, "--paced", "--max-idle-s", "0.01")
    assert bot.line() == b""
    ended = bot.end()
    assert ended.exit_code == 1
    assert "bot/idle_too_long" in ended.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_signal_ends_a_free_running_bot_after_its_cycle(
    start_bot: StartBot, environment: dict[str, str], home: Path, database: Lease, number: signal.Signals
) -> None:
    with psycopg.connect(database.address.conninfo(), autocommit=True) as watching:
        # The heartbeat is held up, so that the signal arrives in the middle of a cycle.
        with psycopg.connect(database.address.conninfo()) as blocking:
            blocking.execute("LOCK TABLE bot_statuses IN SHARE MODE")
            bot = start_bot(environment, "--interval-s", "3600")
            blocked = (
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bot' AND wait_event_type = 'Lock'"
            )
            wait_until(watching, f"({blocked}) = 1")
            bot.process.send_signal(number)
        assert bot.end().exit_code == 0
    assert [row[2] for row in heartbeats(database)] == [1]
    assert explain_portfolio(home)


def wait_until(connection: psycopg.Connection[tuple[Any, ...]], condition: str) -> None:
    """Wait in the server, at most ten seconds, until the SQL `condition` holds."""
    for _ in range(1000):
        row = connection.execute(f"SELECT {condition}").fetchone()  # type: ignore[arg-type]
        if row is not None and row[0]:
            return
        connection.execute("SELECT pg_sleep(0.01)")
    raise AssertionError(f"{condition} did not come true")


def test_signal_ends_a_waiting_bot_at_once(start_bot: StartBot, environment: dict[str, str], database: Lease) -> None:
    bot = start_bot(environment, "--interval-s", "3600")
    wait_until(database.connection, "EXISTS (SELECT FROM bot_statuses)")
    bot.process.send_signal(signal.SIGTERM)
    assert bot.end().exit_code == 0


def test_free_running_bot_is_explained_at_every_instant(
    start_bot: StartBot, environment: dict[str, str], home: Path
) -> None:
    bot = start_bot(environment, "--interval-s", "0", "--cycles", "150", "--trade-every", "1")
    looks = unexplained = 0
    while bot.process.poll() is None:
        for event in JournalEvent:
            present = (home / event.path).exists()
            looks += present
            unexplained += present and explain_file(home, event) is None
    assert bot.end().exit_code == 0
    assert looks > 50
    assert unexplained == 0


@pytest.mark.parametrize("cycles", [1, 5])
def test_same_seed_and_cycles_give_the_same_bytes_and_another_seed_others(
    warm_bot: WarmBot, environment: dict[str, str], tmp_path: Path, cycles: int
) -> None:
    found = []
    for name, seed in (("one", "5"), ("two", "5"), ("three", "6")):
        home = make_home(tmp_path / name)
        options = ("--seed", seed, "--cycles", str(cycles), "--trade-every", "2")
        assert warm_bot.run({**environment, "BOT_HOME": str(home)}, *options).exit_code == 0
        found.append([content_of(home / path) for path in (paths.PORTFOLIO, paths.MARKET)])
    assert found[0] == found[1]
    assert found[0][1] != found[2][1]
    assert (found[0][0] == found[2][0]) is (cycles == 1), "the first cycle trades nothing, so no price is in it"


def test_bot_stopped_and_started_goes_on_where_it_was(
    warm_bot: WarmBot, environment: dict[str, str], home: Path, tmp_path: Path, database: Lease
) -> None:
    for cycles in ("2", "1", "4"):
        assert warm_bot.run(environment, "--cycles", cycles).exit_code == 0
    assert [row[2] for row in heartbeats(database)] == [1, 2, 3, 4, 5, 6, 7]
    once = make_home(tmp_path / "once")
    database.connection.execute("DELETE FROM bot_statuses")
    assert warm_bot.run({**environment, "BOT_HOME": str(once)}, "--cycles", "7").exit_code == 0
    assert portfolio_sha256(home) == portfolio_sha256(once)


def test_bot_whose_heartbeats_were_deleted_goes_on_from_its_portfolio(
    warm_bot: WarmBot, environment: dict[str, str], home: Path, database: Lease
) -> None:
    warm_bot.run(environment, "--cycles", "5")
    before = portfolio_sha256(home)
    database.connection.execute("DELETE FROM bot_statuses")
    assert warm_bot.run(environment, "--cycles", "1").exit_code == 0
    assert [row[2] for row in heartbeats(database)] == [4], "the portfolio was last written in cycle 3"
    assert portfolio_sha256(home) == before


def test_change_of_portfolio_is_explained_line_by_line(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    warm_bot.run(environment, "--cycles", "1")
    before = portfolio_sha256(home)
    warm_bot.run(environment, "--cycles", "6")
    explained = explain_portfolio_change(home, before=before, after=portfolio_sha256(home))
    assert explained is not None
    assert [line.cycle for line in explained] == [3, 6]


def test_bot_never_writes_outside_its_files_and_leaves_env_alone(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    before = (home / paths.ENV).stat()
    warm_bot.run(environment, "--cycles", "3")
    after = (home / paths.ENV).stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_ino) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_ino,
    )
    found = {path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    assert found == {paths.ENV, paths.PORTFOLIO, paths.MARKET, paths.JOURNAL, paths.LOG}


def test_market_snapshot_holds_prices_and_closes_of_every_asset(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    warm_bot.run(environment, "--cycles", "1")
    snapshot = json.loads((home / paths.MARKET).read_bytes())
    assert (snapshot["schema_version"], snapshot["generated_at"]) == (1, EPOCH)
    assert set(snapshot["assets"]) == {"ADA", "BTC", "ETH", "SOL"}
    assert snapshot["assets"]["BTC"]["daily_closes"][-1]["date"] == "2026-05-11"
    assert isinstance(snapshot["assets"]["BTC"]["last_price"], str)


def test_bot_without_paper_is_refused(warm_bot: WarmBot, environment: dict[str, str], home: Path) -> None:
    assert warm_bot.run(environment, "--cycles", "1", paper=False).exit_code == 2
    assert not (home / paths.PORTFOLIO).exists()


@pytest.mark.parametrize(
    "options",
    [("--cycles", "0"), ("--cycles", "x"), ("--interval-s", "-1"), ("--interval-s", "nan"), ("--paced",), ("--live",)],
    ids=" ".join,
)
def test_wrong_argument_is_refused(
    warm_bot: WarmBot, environment: dict[str, str], home: Path, options: tuple[str, ...]
) -> None:
    # `--paced` is wrong beside the `--interval-s 0` that the warm bot is always given.
    assert warm_bot.run(environment, *options).exit_code == 2
    assert not (home / paths.PORTFOLIO).exists()


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_bot_that_is_not_on_testnet_is_refused_and_writes_nothing(
    warm_bot: WarmBot, environment: dict[str, str], home: Path, database: Lease, place: str
) -> None:
    flags = {"environment": "true", ".env": "true"} | {place: "false"}
    (home / paths.ENV).write_text(f"BINANCE_TESTNET={flags['.env']}\n")
    ended = warm_bot.run({**environment, "BINANCE_TESTNET": flags["environment"]}, "--cycles", "1")
    assert (ended.exit_code, ended.errors.count("\n")) == (2, 1)
    assert "bot/not_testnet" in ended.errors
    assert [path.name for path in home.iterdir()] == [".env"]
    assert heartbeats(database) == []


def damage(home: Path, how: str) -> None:
    """Do to the portfolio what somebody else might."""
    path = home / paths.PORTFOLIO
    content = path.read_bytes()
    older = portfolio_document(starting_portfolio(cycle=1), at=psycopg_epoch())
    path.write_bytes({"truncated": content[:40], "changed": content.replace(b'"1', b'"2', 1), "older": older}[how])


def psycopg_epoch() -> Any:
    from datetime import datetime

    return datetime.fromisoformat(EPOCH)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("truncated", "bot/portfolio_damaged"),
        ("changed", "bot/portfolio_unexplained"),
        ("older", "bot/portfolio_unexplained"),
    ],
)
def test_portfolio_that_somebody_else_changed_is_refused_and_left_as_it_is(
    warm_bot: WarmBot, environment: dict[str, str], home: Path, how: str, code: str
) -> None:
    warm_bot.run(environment, "--cycles", "3")
    damage(home, how)
    before = content_of(home / paths.PORTFOLIO)
    ended = warm_bot.run(environment, "--cycles", "1")
    assert (ended.exit_code, ended.errors.count("\n")) == (2, 1)
    assert code in ended.errors
    assert str(home / paths.PORTFOLIO) in ended.errors
    assert content_of(home / paths.PORTFOLIO) == before
    assert explain_portfolio(home) is None


def test_portfolio_that_was_deleted_is_refused(warm_bot: WarmBot, environment: dict[str, str], home: Path) -> None:
    warm_bot.run(environment, "--cycles", "1")
    (home / paths.PORTFOLIO).unlink()
    assert "bot/portfolio_unexplained" in warm_bot.run(environment, "--cycles", "1").errors
    assert not (home / paths.PORTFOLIO).exists()


def test_portfolio_changed_under_a_running_bot_stops_it_and_is_left_as_it_is(
    start_bot: StartBot, environment: dict[str, str], home: Path
) -> None:
    bot = start_bot(environment, "--paced")
    bot.cycle()
    damage(home, "changed")
    before = content_of(home / paths.PORTFOLIO)
    bot.say("cycle")
    ended = bot.end()
    assert ended.exit_code == 2
    assert "bot/portfolio_changed" in ended.errors
    assert content_of(home / paths.PORTFOLIO) == before


def test_market_snapshot_that_somebody_else_changed_is_written_anew(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    warm_bot.run(environment, "--cycles", "1")
    (home / paths.MARKET).write_bytes(b"{")
    assert explain_file(home, JournalEvent.MARKET_SNAPSHOT_WRITE) is None
    assert warm_bot.run(environment, "--cycles", "1").exit_code == 0
    assert explain_file(home, JournalEvent.MARKET_SNAPSHOT_WRITE)


def test_damaged_journal_is_refused_with_its_line(warm_bot: WarmBot, environment: dict[str, str], home: Path) -> None:
    warm_bot.run(environment, "--cycles", "1")
    with (home / paths.JOURNAL).open("ab") as journal:
        journal.write(line({"event": "portfolio_write"}))
    ended = warm_bot.run(environment, "--cycles", "1")
    assert ended.exit_code == 2
    assert "line 3" in ended.errors


def test_second_bot_in_one_home_is_refused_and_the_first_goes_on(
    start_bot: StartBot, warm_bot: WarmBot, environment: dict[str, str]
) -> None:
    bot = start_bot(environment, "--paced")
    bot.cycle()
    ended = warm_bot.run(environment, "--cycles", "1")
    assert (ended.exit_code, ended.errors.count("\n")) == (2, 1)
    assert "bot/home_taken" in ended.errors
    assert bot.cycle()["cycle"] == 2


def test_database_without_its_tables_is_refused(
    warm_bot: WarmBot, environment: dict[str, str], database: Lease
) -> None:
    database.connection.execute("DROP TABLE bot_statuses")
    ended = warm_bot.run(environment, "--cycles", "1")
    assert (ended.exit_code, ended.errors.count("\n")) == (2, 1)
    assert "bot/database_schema" in ended.errors


def test_database_that_is_not_there_ends_the_bot_with_one_sentence(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    nowhere = {"GUI_DB_HOST": str(home), "GUI_DB_PASSWORD": "hunter-two"}
    ended = warm_bot.run({**environment, **nowhere}, "--cycles", "1")
    assert (ended.exit_code, ended.errors.count("\n")) == (1, 1)
    assert "bot/database_unavailable" in ended.errors
    assert "hunter-two" not in ended.errors
    assert not (home / paths.PORTFOLIO).exists()


def test_connection_cut_between_cycles_is_made_again(
    start_bot: StartBot, environment: dict[str, str], database: Lease
) -> None:
    bot = start_bot(environment, "--paced")
    bot.cycle()
    database.connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'bot'"
    )
    assert bot.cycle()["cycle"] == 2
    assert [row[2] for row in heartbeats(database)] == [1, 2]


def test_server_killed_between_cycles_ends_the_bot_and_a_restart_goes_on(
    start_bot: StartBot, run_folder: RunFolder, home: Path
) -> None:
    with private_server(run_folder.run_id, run_folder.path, stack_template()) as server:
        environment = environment_of(home, server.address.environment())
        bot = start_bot(environment, "--paced", "--trade-every", "1")
        bot.cycle()
        server.kill()
        bot.say("cycle")
        ended = bot.end()
        assert (ended.exit_code, ended.errors.count("\n")) == (1, 1)
        assert "bot/database_unavailable" in ended.errors
        assert explain_portfolio(home)

        server.start()
        again = start_bot(environment, "--paced", "--trade-every", "1")
        assert again.cycle()["cycle"] == 2


def test_log_that_cannot_be_written_ends_the_bot_with_one_sentence_and_the_portfolio_whole(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    warm_bot.run(environment, "--cycles", "1")
    (home / paths.LOG).unlink()
    (home / paths.LOG).mkdir()
    ended = warm_bot.run(environment, "--cycles", "1")
    assert (ended.exit_code, ended.errors.count("\n")) == (1, 1)
    assert str(home / paths.LOG) in ended.errors
    assert explain_portfolio(home)
    os.rmdir(home / paths.LOG)
    assert warm_bot.run(environment, "--cycles", "1").exit_code == 0
