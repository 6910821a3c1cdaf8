"""The bot as a process on real Postgres: its cycles, its pace, how it stops and goes on."""

import json
import signal
from pathlib import Path

import psycopg
import pytest

from sim.fake_bot import home as paths
from sim.fake_bot.reading import (
    JournalEvent,
    content_of,
    explain_file,
    explain_portfolio,
    explain_portfolio_change,
    read_journal,
)
from sim.postgres.leases import Lease
from tests.sim.fake_bot.conftest import (
    EPOCH,
    StartBot,
    WarmBot,
    heartbeats,
    make_home,
    portfolio_sha256,
    wait_until,
)


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
    written = read_journal(home).of(JournalEvent.PORTFOLIO_WRITE)
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
            blocked = "SELECT FROM pg_stat_activity WHERE application_name = 'bot' AND wait_event_type = 'Lock'"
            wait_until(watching, f"EXISTS ({blocked})")
            bot.process.send_signal(number)
        assert bot.end().exit_code == 0
    assert [row[2] for row in heartbeats(database)] == [1]
    assert explain_portfolio(home)


def test_signal_ends_a_waiting_bot_at_once(start_bot: StartBot, environment: dict[str, str], database: Lease) -> None:
    bot = start_bot(environment, "--interval-s", "3600")
    wait_until(database.connection, "EXISTS (SELECT FROM bot_statuses)")
    bot.process.send_signal(signal.SIGTERM)
    assert bot.end().exit_code == 0


def test_free_running_bot_is_explained_at_every_instant(
    start_bot: StartBot, environment: dict[str, str], home: Path
) -> None:
    bot = start_bot(environment, "--interval-s", "0", "--cycles", "60", "--trade-every", "1")
    looks = unexplained = 0
    while bot.process.poll() is None:
        for event in JournalEvent:
            present = (home / event.path).exists()
            looks += present
            unexplained += present and explain_file(home, event) is None
    assert bot.end().exit_code == 0
    assert looks > 0
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
