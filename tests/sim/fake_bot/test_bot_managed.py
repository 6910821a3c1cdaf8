"""The bot beside managed holdings: what it trades, takes up, flags and lets go, across restarts, damage and changes.

Must hold: once there is a baseline, nothing but an active asset on which bot and files agree is ever traded; and no
state of the two files, whole or damaged, ends the bot or its heartbeat.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.fake_bot import home as paths
from sim.fake_bot.reading import content_of, explain_portfolio
from sim.postgres.leases import Lease
from tests.sim.fake_bot.conftest import StartBot, WarmBot, environment_of, heartbeats, make_home, portfolio_sha256
from tests.sim.fake_bot.managed_home import Standing, active, flagged, flags, frozen, paused, put, tell_services
from worker.contracts.states import ManagedState

SYMBOLS = ("ADA", "BTC", "ETH", "SOL")
EACH_CYCLE = ("--trade-every", "1")
CYCLES_TO_BUY_ALL = 5
"""One of cash alone, and one purchase of each asset."""


class Desk:
    """A home, and a bot that is started anew for each run and trades whenever it may."""

    def __init__(self, *, home: Path, database: Lease, warm_bot: WarmBot) -> None:
        self.home = home
        self.database = database
        self._warm_bot = warm_bot

    def run(self, cycles: int) -> None:
        environment = environment_of(self.home, self.database.address.environment())
        ended = self._warm_bot.run(environment, *EACH_CYCLE, "--cycles", str(cycles))
        assert (ended.exit_code, ended.errors) == (0, "")
        assert explain_portfolio(self.home)

    def traded(self, cycles: int) -> set[str]:
        """The assets of which another quantity is held after so many cycles."""
        before = self.held()
        self.run(cycles)
        after = self.held()
        return {symbol for symbol in before.keys() | after.keys() if before.get(symbol) != after.get(symbol)}

    def held(self) -> dict[str, str]:
        """What the portfolio holds, by symbol."""
        return {symbol: position["quantity"] for symbol, position in self._portfolio()["positions"].items()}

    def expected(self) -> dict[str, str]:
        """What the portfolio expects of managed assets."""
        return {symbol: basis["expected"] for symbol, basis in self._portfolio().get("managed", {}).items()}

    def standings(self, **changed: Standing) -> dict[str, Standing]:
        """A baseline of what is held, frozen but for what is `changed`."""
        return {**{symbol: frozen(quantity) for symbol, quantity in self.held().items()}, **changed}

    def log(self) -> str:
        return (self.home / paths.LOG).read_text()

    def _portfolio(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / paths.PORTFOLIO).read_bytes())
        return found


@pytest.fixture
def desk(home: Path, database: Lease, warm_bot: WarmBot) -> Desk:
    """A bot that holds some of each asset, before there is any baseline."""
    desk = Desk(home=home, database=database, warm_bot=warm_bot)
    desk.run(CYCLES_TO_BUY_ALL)
    assert tuple(desk.held()) == SYMBOLS
    return desk


def test_everything_is_traded_before_there_is_a_baseline(desk: Desk) -> None:
    assert desk.traded(cycles=4) == set(SYMBOLS)
    assert desk.expected() == {}


@pytest.mark.parametrize("state", ManagedState)
def test_asset_is_traded_in_no_state_but_active(desk: Desk, state: ManagedState) -> None:
    eth = Standing(state=state, quantity=desk.held()["ETH"])
    put(desk.home, 1, **desk.standings(ETH=eth))
    assert desk.traded(cycles=5) == {ManagedState.MANAGED_ACTIVE: {"ETH"}}.get(state, set())
    assert len(heartbeats(desk.database)) == CYCLES_TO_BUY_ALL + 5


def test_of_a_mixed_portfolio_only_what_is_active_is_traded(desk: Desk) -> None:
    ada, btc, eth, sol = (desk.held()[symbol] for symbol in SYMBOLS)
    mixed = {"ADA": active(ada), "BTC": paused(btc), "ETH": active(eth), "SOL": flagged(sol)}
    put(desk.home, 1, **mixed)
    assert desk.traded(cycles=6) == {"ADA", "ETH"}
    assert desk.expected() == desk.held()


def test_asset_that_is_not_held_is_taken_up_once_in_the_baseline_quantity(
    warm_bot: WarmBot, home: Path, database: Lease
) -> None:
    desk = Desk(home=home, database=database, warm_bot=warm_bot)
    put(home, 1, ETH=paused("1.25"), BTC=frozen("0.5"))
    desk.run(1)
    assert (desk.held(), desk.expected()) == ({"ETH": "1.25"}, {"ETH": "1.25"})
    assert desk.traded(cycles=3) == set()

    put(home, 2, ETH=active("1.25", by=2), BTC=frozen("0.5"))
    assert desk.traded(cycles=3) == {"ETH"}
    assert desk.expected() == desk.held()


def test_disagreement_ends_the_trading_of_that_asset_and_is_flagged_once_across_restarts(desk: Desk) -> None:
    found = desk.held()["ETH"]
    put(desk.home, 1, **desk.standings(ETH=active("7"), BTC=active(desk.held()["BTC"])))
    tell_services(desk.database, ETH=active())
    assert [desk.traded(cycles) for cycles in (2, 1, 3)] == [{"BTC"}] * 3
    assert flags(desk.database) == [("ETH", "7", found, 1, None)]
    assert desk.log().count("flagged drift") == 1


def test_resume_of_a_flagged_asset_accepts_what_is_held_and_trading_goes_on(desk: Desk) -> None:
    found = desk.held()["ETH"]
    put(desk.home, 1, **desk.standings(ETH=active("7")))
    tell_services(desk.database, ETH=active())
    desk.run(1)
    put(desk.home, 2, **desk.standings(ETH=flagged("7", by=2)))
    assert desk.traded(cycles=4) == set()
    assert desk.expected() == {"ETH": "7"}

    put(desk.home, 3, **desk.standings(ETH=active("7", by=3)))
    assert desk.traded(cycles=1) == {"ETH"}
    desk.run(3)
    assert desk.expected()["ETH"] == desk.held()["ETH"]
    assert flags(desk.database) == [("ETH", "7", found, 1, None)]


def test_release_drops_the_expectation_and_keeps_the_position(desk: Desk) -> None:
    put(desk.home, 1, **desk.standings(ETH=active(desk.held()["ETH"])))
    desk.run(2)
    assert desk.expected() == {"ETH": desk.held()["ETH"]}
    put(desk.home, 2, **desk.standings())
    assert desk.traded(cycles=3) == set()
    assert desk.expected() == {}


def test_asset_that_comes_back_with_its_old_baseline_is_flagged_for_what_was_traded_meanwhile(desk: Desk) -> None:
    recorded = desk.held()["ETH"]
    put(desk.home, 1, **desk.standings(ETH=active(recorded)))
    desk.run(1)
    put(desk.home, 2, **desk.standings(ETH=frozen(recorded, by=2)))
    desk.run(1)
    put(desk.home, 3, **desk.standings(ETH=active(recorded, by=3)))
    tell_services(desk.database, ETH=active())
    found = desk.held()["ETH"]
    assert desk.traded(cycles=3) == set()
    assert flags(desk.database) == [("ETH", recorded, found, 3, None)]


def test_pause_and_resume_without_a_disagreement_change_only_whether_it_is_traded(desk: Desk) -> None:
    recorded = desk.held()["ETH"]
    for generation, standing, moved in (
        (1, active(recorded), {"ETH"}),
        (2, paused(recorded, by=2), set()),
        (3, active(recorded, by=3), {"ETH"}),
    ):
        put(desk.home, generation, **desk.standings(ETH=standing))
        assert desk.traded(cycles=2) == moved
        assert desk.expected()["ETH"] == desk.held()["ETH"]
    assert flags(desk.database) == []


def test_flag_that_the_service_refuses_is_told_and_does_not_end_the_bot(desk: Desk) -> None:
    # No history and no cached baseline: the service knows of no such asset.
    put(desk.home, 1, **desk.standings(ETH=active("7")))
    assert desk.traded(cycles=3) == set()
    assert "state/asset_not_in_baseline" in desk.log()
    assert flags(desk.database) == []
    assert len(heartbeats(desk.database)) == CYCLES_TO_BUY_ALL + 3


def tear_generations(home: Path, standings: dict[str, Standing]) -> None:
    """A change caught between its two renames: everything is frozen in the newer file, and active in the older one."""
    before = content_of(home / paths.MANAGED_STATE) or b""
    put(home, 2, **{name: frozen(standing.quantity, by=2) for name, standing in standings.items()})
    (home / paths.MANAGED_STATE).write_bytes(before)


def put_intent(home: Path, standings: dict[str, Standing]) -> None:
    (home / paths.INTENT).write_bytes(b"{}")


@pytest.mark.parametrize("unsettle", [tear_generations, put_intent])
def test_running_bot_trades_on_by_the_last_good_pair_and_a_new_one_trades_nothing_until_the_change_is_done(
    start_bot: StartBot,
    environment: dict[str, str],
    desk: Desk,
    unsettle: Callable[[Path, dict[str, Standing]], None],
) -> None:
    standings = desk.standings(ETH=active(desk.held()["ETH"]))
    put(desk.home, 1, **standings)
    bot = start_bot(environment, "--paced", *EACH_CYCLE)
    bot.cycle()
    before = desk.held()
    unsettle(desk.home, standings)
    assert bot.cycle()["wrote_portfolio"]
    assert {symbol for symbol in SYMBOLS if before[symbol] != desk.held()[symbol]} == {"ETH"}
    bot.say("stop")
    assert bot.end().exit_code == 0

    assert desk.traded(cycles=2) == set()
    assert desk.log().count("a worker finishes the change") == 2, "each of the two bots says it once"

    (desk.home / paths.INTENT).unlink(missing_ok=True)
    put(desk.home, 2, **desk.standings(ETH=active(before["ETH"], by=1)))
    assert desk.traded(cycles=1) == {"ETH"}


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path: path.write_bytes(b""),
    "not JSON": lambda path: path.write_bytes(b"\x00" * 100),
    "older schema": lambda path: path.write_bytes(path.read_bytes().replace(b'_version": 1', b'_version": 0')),
    "a folder": replace_by_folder,
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("path", [paths.BASELINE, paths.MANAGED_STATE], ids=str)
def test_damaged_file_stops_all_trading_and_not_the_bot(
    start_bot: StartBot, environment: dict[str, str], desk: Desk, path: Path, how: str
) -> None:
    standings = desk.standings(ETH=active(desk.held()["ETH"]))
    put(desk.home, 1, **standings)
    bot = start_bot(environment, "--paced", *EACH_CYCLE)
    assert bot.cycle()["wrote_portfolio"]
    DAMAGES[how](desk.home / path)
    before = portfolio_sha256(desk.home)
    assert [bot.cycle()["wrote_portfolio"] for _ in range(4)] == [False] * 4
    assert portfolio_sha256(desk.home) == before
    assert [row[2] for row in heartbeats(desk.database)][-4:] == [7, 8, 9, 10]
    assert desk.log().count(f"{desk.home / path} is damaged at ") == 1, "what lasts is told once"


def test_bot_that_starts_beside_a_damaged_file_trades_nothing_until_it_is_repaired(desk: Desk) -> None:
    standings = desk.standings(ETH=active(desk.held()["ETH"]))
    put(desk.home, 1, **standings)
    whole = (desk.home / paths.MANAGED_STATE).read_bytes()
    (desk.home / paths.MANAGED_STATE).write_bytes(whole[:-20])
    assert desk.traded(cycles=3) == set()
    assert desk.expected() == {}
    (desk.home / paths.MANAGED_STATE).write_bytes(whole)
    assert desk.traded(cycles=3) == {"ETH"}


def test_bot_that_manages_something_trades_nothing_once_both_files_have_gone(desk: Desk) -> None:
    put(desk.home, 1, **desk.standings(ETH=active(desk.held()["ETH"])))
    desk.run(1)
    (desk.home / paths.BASELINE).unlink()
    (desk.home / paths.MANAGED_STATE).unlink()
    assert desk.traded(cycles=4) == set()
    assert "both files have gone" in desk.log()


def test_damage_keeps_what_the_bot_expects(desk: Desk) -> None:
    put(desk.home, 1, **desk.standings(ETH=active(desk.held()["ETH"])))
    desk.run(1)
    expected = desk.expected()
    (desk.home / paths.BASELINE).write_bytes(b"")
    desk.run(2)
    assert desk.expected() == expected != {}


def test_same_seed_and_files_give_the_same_bytes(
    warm_bot: WarmBot, environment: dict[str, str], tmp_path: Path, database: Lease
) -> None:
    found = []
    for name in ("one", "two"):
        home = make_home(tmp_path / name)
        put(home, 1, ETH=active("0.5"), BTC=active("0.01"), ADA=frozen("100"))
        database.connection.execute("DELETE FROM bot_statuses")
        Desk(home=home, database=database, warm_bot=warm_bot).run(7)
        found.append(content_of(home / paths.PORTFOLIO))
    assert found[0] == found[1]


def test_bot_leaves_the_worker_its_files(desk: Desk) -> None:
    put(desk.home, 1, **desk.standings(ETH=active("7")))
    tell_services(desk.database, ETH=active())
    before = [(desk.home / path).stat() for path in (paths.BASELINE, paths.MANAGED_STATE)]
    desk.run(2)
    after = [(desk.home / path).stat() for path in (paths.BASELINE, paths.MANAGED_STATE)]
    assert [(one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for one in after] == [
        (one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for one in before
    ]
    assert {path.name for path in (desk.home / "state").iterdir()} == {
        path.name for path in (paths.BASELINE, paths.MANAGED_STATE, paths.MARKET)
    }
