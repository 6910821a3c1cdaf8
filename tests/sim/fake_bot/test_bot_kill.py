"""The bot killed before every file operation and in the middle of every write.

Must hold: the portfolio on disk is whole and explained by the journal, a restart goes on, and what it ends with is what
a bot that was never killed ends with.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from sim.fake_bot import home as paths
from sim.fake_bot.portfolio import parse_portfolio
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
from tests.sim.fake_bot.conftest import WarmBot, environment_of
from tests.sim.fake_bot.managed_home import active, flags, frozen, paused, put, tell_services

OPTIONS = ("--seed", "7", "--trade-every", "2")

TRADING_CYCLE = (
    "open .live_portfolio.json.staged",
    "write .live_portfolio.json.staged",
    "fsync .live_portfolio.json.staged",
    "open home",
    "fsync home",
    "write bot_journal.jsonl",
    "fsync bot_journal.jsonl",
    "replace .live_portfolio.json.staged",
    "open home",
    "fsync home",
)
SNAPSHOT_AND_LOG = (
    "open .market_snapshot.json.staged",
    "write .market_snapshot.json.staged",
    "fsync .market_snapshot.json.staged",
    "open state",
    "fsync state",
    "write bot_journal.jsonl",
    "fsync bot_journal.jsonl",
    "replace .market_snapshot.json.staged",
    "open state",
    "fsync state",
    "open bot.log",
    "write bot.log",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wreck:
    """A home as some run left it, and the newest heartbeat at that moment."""

    home: Path
    last_heartbeat: int


class Rig:
    """Runs bots, and puts home and heartbeats back to an earlier moment."""

    def __init__(self, *, database: Lease, warm_bot: WarmBot, folder: Path) -> None:
        self._database = database
        self._warm_bot = warm_bot
        self._folder = folder
        self._copies = 0

    def run(self, home: Path, *, cycles: int, kill_at: int | None = None, halfway: bool = False) -> tuple[str, ...]:
        """The file operations of a run that ended as it should: as told, or killed."""
        environment = environment_of(home, self._database.address.environment())
        ended = self._warm_bot.run(environment, *OPTIONS, "--cycles", str(cycles), kill_at=kill_at, halfway=halfway)
        assert ended.exit_code == (0 if kill_at is None else -9), ended.errors
        return ended.operations

    def remember(self, home: Path) -> Wreck:
        row = self._database.connection.execute("SELECT coalesce(max(id), 0) FROM bot_statuses").fetchone()
        assert row is not None
        return Wreck(home=home, last_heartbeat=row[0])

    def copy_of(self, wreck: Wreck) -> Path:
        """A copy of the home, in a database that has forgotten everything since, and every drift flag."""
        self._database.connection.execute("DELETE FROM bot_statuses WHERE id > %s", (wreck.last_heartbeat,))
        self._database.connection.execute("DELETE FROM commands")
        self._copies += 1
        return Path(shutil.copytree(wreck.home, self._folder / str(self._copies) / "home"))

    def killed_everywhere(self, start: Wreck, *, until: str | None = None) -> Iterator[Path]:
        """A home for each file operation of one cycle, killed before it; and for each write, killed in its middle.

        With `until`, only for those before the first operation of that name.
        """
        operations = self.run(self.copy_of(start), cycles=1)
        end = len(operations) if until is None else operations.index(until)
        for number, operation in enumerate(operations[:end], start=1):
            for halfway in (False, True)[: 1 + operation.startswith("write ")]:
                home = self.copy_of(start)
                self.run(home, cycles=1, kill_at=number, halfway=halfway)
                yield home


@pytest.fixture
def rig(database: Lease, warm_bot: WarmBot, tmp_path: Path) -> Rig:
    return Rig(database=database, warm_bot=warm_bot, folder=tmp_path)


def assert_explained(home: Path) -> None:
    """The portfolio is absent with no journal behind it, or whole and explained; so is the market snapshot."""
    for event in JournalEvent:
        line = explain_file(home, event)
        found = content_of(home / event.path)
        assert (None if line is None else line.sha256) == sha256_of(found), f"{event.path} is not explained"
    for portfolio in filter(None, [content_of(home / paths.PORTFOLIO)]):
        parse_portfolio(portfolio, name="portfolio")


def assert_one_history(home: Path) -> None:
    """Nothing is left of a write in flight, and one unbroken chain of journal lines leads to the portfolio."""
    journal = read_journal(home)
    lines = journal.of(JournalEvent.PORTFOLIO_WRITE)
    assert journal.torn_bytes == 0
    assert not list(home.rglob(".*.staged"))
    assert explain_portfolio(home) == lines[-1]
    assert explain_portfolio_change(home, before=None, after=lines[-1].sha256) == lines


def test_trading_cycle_does_its_file_operations_in_the_durable_order(rig: Rig, home: Path) -> None:
    rig.run(home, cycles=3)
    operations = rig.run(home, cycles=1)
    assert operations[-len(TRADING_CYCLE + SNAPSHOT_AND_LOG) :] == TRADING_CYCLE + SNAPSHOT_AND_LOG


def test_cycle_without_a_trade_leaves_the_portfolio_alone(rig: Rig, home: Path) -> None:
    rig.run(home, cycles=4)
    operations = rig.run(home, cycles=1)
    assert operations[-len(SNAPSHOT_AND_LOG) :] == SNAPSHOT_AND_LOG
    assert not [operation for operation in operations if "live_portfolio" in operation]


# Trades fall on even cycles. The cycles after a kill are chosen so that the last one is odd if the killed one counted
# and even if not: the same trades either way.
@pytest.mark.parametrize(("cycles_before", "cycles_after"), [(0, 2), (1, 1)], ids=["first start", "trading cycle"])
def test_bot_killed_at_any_file_operation_loses_nothing_and_goes_on(
    rig: Rig, home: Path, cycles_before: int, cycles_after: int
) -> None:
    for _ in range(cycles_before):
        rig.run(home, cycles=1)
    start = rig.remember(home)
    never_killed = rig.copy_of(start)
    rig.run(never_killed, cycles=cycles_after + 1)

    tried = 0
    for killed in rig.killed_everywhere(start):
        assert_explained(killed)
        rig.run(killed, cycles=cycles_after)
        assert_one_history(killed)
        assert content_of(killed / paths.PORTFOLIO) == content_of(never_killed / paths.PORTFOLIO)
        tried += 1
    assert tried > len(TRADING_CYCLE + SNAPSHOT_AND_LOG)


@pytest.mark.parametrize(("cycles_before", "cycles_after"), [(1, 1), (2, 2)], ids=["and trades", "and does not trade"])
def test_bot_killed_while_it_takes_up_a_managed_asset_takes_it_up_once(
    rig: Rig, home: Path, cycles_before: int, cycles_after: int
) -> None:
    rig.run(home, cycles=cycles_before)
    put(home, 1, ETH=active("1.25"), BTC=frozen("0.5"))
    start = rig.remember(home)
    never_killed = rig.copy_of(start)
    rig.run(never_killed, cycles=cycles_after + 1)
    after = content_of(never_killed / paths.PORTFOLIO) or b""
    assert parse_portfolio(after, name="portfolio").managed["ETH"].command_id == UUID(int=1)

    tried = 0
    for killed in rig.killed_everywhere(start):
        assert_explained(killed)
        rig.run(killed, cycles=cycles_after)
        assert_one_history(killed)
        assert content_of(killed / paths.PORTFOLIO) == after
        tried += 1
    assert tried > len(TRADING_CYCLE + SNAPSHOT_AND_LOG)


def test_bot_killed_while_it_finds_a_disagreement_flags_it_once_and_never_trades_the_asset(
    rig: Rig, home: Path, database: Lease
) -> None:
    # It has bought BTC in its second cycle, and would trade again in its fourth.
    rig.run(home, cycles=3)
    put(home, 1, BTC=active("7"))
    tell_services(database, BTC=active())
    start = rig.remember(home)
    never_killed = rig.copy_of(start)
    rig.run(never_killed, cycles=2)
    evidence = flags(database)
    assert [(flag[0], flag[1], flag[3]) for flag in evidence] == [("BTC", "7", 1)]

    flagged_before_the_kill = []
    for killed in rig.killed_everywhere(start):
        assert_explained(killed)
        flagged_before_the_kill.append(flags(database))
        rig.run(killed, cycles=1)
        assert_one_history(killed)
        assert content_of(killed / paths.PORTFOLIO) == content_of(never_killed / paths.PORTFOLIO)
        assert flags(database) == evidence
    assert flagged_before_the_kill.count([]) > 0
    assert flagged_before_the_kill.count(evidence) > 0
    assert flagged_before_the_kill.count([]) + flagged_before_the_kill.count(evidence) == len(flagged_before_the_kill)


def test_bot_killed_between_its_first_flag_and_the_end_of_its_cycle_flags_once_though_another_asset_has_moved(
    rig: Rig, home: Path, database: Lease
) -> None:
    # It sees BTC as managed for the first time, and in another quantity than it holds. While it is down, a command for
    # ETH moves the files on.
    rig.run(home, cycles=3)
    put(home, 1, BTC=active("7"), ETH=frozen())
    tell_services(database, BTC=active())
    start = rig.remember(home)

    generations = []
    for killed in rig.killed_everywhere(start):
        flagged_before = flags(database)
        put(killed, 2, BTC=active("7"), ETH=paused(by=2))
        rig.run(killed, cycles=2)
        assert_one_history(killed)
        ((asset, _, _, generation, _),) = flags(database)
        assert (asset, flagged_before in ([], flags(database))) == ("BTC", True)
        generations.append((generation, bool(flagged_before)))
    # Killed before it had seen anything, after it had, and after it had flagged.
    assert {(2, False), (1, False), (1, True)} == set(generations)


def test_portfolio_that_names_what_a_flag_is_of_is_written_before_it(rig: Rig, home: Path, database: Lease) -> None:
    rig.run(home, cycles=3)
    put(home, 1, BTC=active("7"))
    tell_services(database, BTC=active())
    start = rig.remember(home)
    operations = rig.run(rig.copy_of(start), cycles=1)
    home = rig.copy_of(start)
    rig.run(home, cycles=1, kill_at=operations.index("replace .live_portfolio.json.staged") + 1)
    assert flags(database) == []
    rig.run(home, cycles=1)
    assert len(flags(database)) == 1


@pytest.mark.parametrize(
    ("operation", "halfway", "cycles_after"),
    [
        ("write bot_journal.jsonl", True, 1),
        ("replace .live_portfolio.json.staged", False, 2),
    ],
    ids=["announcement torn", "announced and not renamed"],
)
def test_bot_killed_again_while_it_recovers_loses_nothing_and_goes_on(
    rig: Rig, home: Path, operation: str, halfway: bool, cycles_after: int
) -> None:
    rig.run(home, cycles=1)
    start = rig.remember(home)
    never_killed = rig.copy_of(start)
    operations = rig.run(never_killed, cycles=cycles_after + 1)
    killed_once = rig.copy_of(start)
    rig.run(killed_once, cycles=1, kill_at=operations.index(operation) + 1, halfway=halfway)

    # The first line of the log is written once recovery is over.
    for killed in rig.killed_everywhere(rig.remember(killed_once), until="open bot.log"):
        assert_explained(killed)
        rig.run(killed, cycles=cycles_after)
        assert_one_history(killed)
        assert content_of(killed / paths.PORTFOLIO) == content_of(never_killed / paths.PORTFOLIO)


def test_write_that_was_announced_is_completed_by_the_next_start(rig: Rig, home: Path) -> None:
    rig.run(home, cycles=3)
    before = content_of(home / paths.PORTFOLIO)
    start = rig.remember(home)
    operations = rig.run(rig.copy_of(start), cycles=1)
    home = rig.copy_of(start)
    rig.run(home, cycles=1, kill_at=operations.index("replace .live_portfolio.json.staged") + 1)
    assert content_of(home / paths.PORTFOLIO) == before
    announced = read_journal(home).lines[-1]

    rig.run(home, cycles=1)
    assert explain_portfolio(home) == announced
    assert "completed the write of live_portfolio.json" in (home / paths.LOG).read_text()


def test_staged_file_that_was_never_announced_is_removed_by_the_next_start(rig: Rig, home: Path) -> None:
    rig.run(home, cycles=3)
    before = content_of(home / paths.PORTFOLIO)
    start = rig.remember(home)
    operations = rig.run(rig.copy_of(start), cycles=1)
    home = rig.copy_of(start)
    rig.run(home, cycles=1, kill_at=operations.index("write bot_journal.jsonl") + 1)
    staged = paths.staged(home / paths.PORTFOLIO)
    assert staged.exists()

    # Killed before the cycle, so that nothing but the recovery can have removed it.
    recovering = rig.run(rig.copy_of(rig.remember(home)), cycles=1)
    rig.run(home, cycles=1, kill_at=recovering.index("open .live_portfolio.json.staged") + 1)
    assert not staged.exists()
    assert content_of(home / paths.PORTFOLIO) == before


def test_line_that_was_torn_is_truncated_by_the_next_start(rig: Rig, home: Path) -> None:
    rig.run(home, cycles=3)
    whole = read_journal(home)
    start = rig.remember(home)
    operations = rig.run(rig.copy_of(start), cycles=1)
    home = rig.copy_of(start)
    rig.run(home, cycles=1, kill_at=operations.index("write bot_journal.jsonl") + 1, halfway=True)
    assert read_journal(home).torn_bytes > 0
    assert read_journal(home).lines == whole.lines

    rig.run(home, cycles=1)
    assert read_journal(home).lines[: len(whole.lines)] == whole.lines
    assert_one_history(home)
