"""What the bot refuses: arguments, mainnet, files that somebody else changed. Each time nothing is overwritten."""

from datetime import datetime
from pathlib import Path

import pytest

from sim.fake_bot import home as paths
from sim.fake_bot.json_file import line
from sim.fake_bot.portfolio import portfolio_document, starting_portfolio
from sim.fake_bot.reading import (
    JournalEvent,
    content_of,
    explain_file,
    explain_portfolio,
)
from sim.postgres.leases import Lease
from tests.sim.fake_bot.conftest import (
    EPOCH,
    StartBot,
    WarmBot,
    heartbeats,
)


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
    older = portfolio_document(starting_portfolio(cycle=1), at=datetime.fromisoformat(EPOCH))
    path.write_bytes({"truncated": content[:40], "changed": content.replace(b"2026", b"2025"), "older": older}[how])


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
