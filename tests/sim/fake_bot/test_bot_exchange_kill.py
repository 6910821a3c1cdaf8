"""The bot on an exchange, killed before every file operation and every request, and in the middle of every write.

Must hold: at that instant portfolio, journal and exchange agree to the last digit; the next bot finds out what became
of the order, and nothing was sent twice.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from sim.exchange.clock import SECOND, Clock
from sim.exchange.keys import ApiKey
from sim.exchange.skins.shared import SharedServer
from sim.exchange.world import World
from sim.fake_bot.portfolio import parse_portfolio
from sim.fake_bot.reading import content_of, explain_portfolio, orders_in_flight, read_journal, sha256_of
from sim.postgres.leases import Lease
from sim.rules.exchange import order_without_intent_or_sent_twice, portfolio_and_exchange_disagree
from sim.stack.evidence_exchange import LOOKED, ExchangeWitness
from sim.timeline import Timeline
from tests.sim.fake_bot.conftest import WarmBot, environment_of

SHARES = 8
"""In so many tests all operations are tried: each has a bound of time."""

SHARES_OF_RECOVERY = 2

KEY, SECRET = "k" * 64, "s" * 40
BALANCES = {"BTC": Decimal(1), "ETH": Decimal(10), "BNB": Decimal(100), "USDT": Decimal(100_000)}
PRICES = {"BTCUSDT": Decimal(65_000), "ETHUSDT": Decimal(3_200), "BNBUSDT": Decimal(600)}


@pytest.fixture(scope="module")
def server() -> Iterator[SharedServer]:
    running = SharedServer()
    yield running
    running.close()


@dataclass(frozen=True)
class Story:
    """One home, one world as it was at the opening, and what is seen of both."""

    home: Path
    witness: ExchangeWitness
    timeline: Timeline


class Rig:
    """Runs bots on worlds that all begin alike."""

    def __init__(self, *, database: Lease, warm_bot: WarmBot, server: SharedServer, folder: Path) -> None:
        self._database = database
        self._warm_bot = warm_bot
        self._server = server
        self._folder = folder
        self._stories = 0

    def begin(self, begun: Path) -> Story:
        """A story that begins with a copy of the home `begun`, on a world that is as at the opening."""
        self._stories += 1
        home = Path(shutil.copytree(begun, self._folder / str(self._stories) / "home"))
        self._database.connection.execute("DELETE FROM bot_statuses")
        world = World(clock=Clock(), moving=False)
        for symbol, price in PRICES.items():
            world.set_price(symbol, price)
        world.open_account("bot", key=ApiKey(api_key=KEY, account="bot", secret=SECRET), balances=BALANCES)
        story = Story(home, ExchangeWitness(home, "bot"), Timeline())
        world.subscribe(story.witness.hear)
        self._server.put(world)
        return story

    def run(self, story: Story, *options: str, kill_at: int | None = None, halfway: bool = False) -> tuple[str, ...]:
        """The operations of a run that ended as it should; what is to be seen then is seen, and breaks no rule."""
        host = f"127.0.0.1:{self._server.port}"
        environment = {
            **environment_of(story.home, self._database.address.environment()),
            "EXCHANGE_URL": f"http://{host}",
            "EXCHANGE_STREAM_URL": f"ws://{host}",
            "EXCHANGE_WS_API_URL": f"ws://{host}",
            "EXCHANGE_API_KEY": KEY,
            "EXCHANGE_API_SECRET": SECRET,
        }
        ended = self._warm_bot.run(environment, "--seed", "7", *options, kill_at=kill_at, halfway=halfway)
        assert ended.exit_code == (0 if kill_at is None else -9), ended.errors
        detail = self._server.call(story.witness.look)
        story.timeline.record(actor="witness", kind=LOOKED, subject="bot", **detail)
        assert portfolio_and_exchange_disagree(story.timeline) == []
        assert order_without_intent_or_sent_twice(story.timeline) == []
        return ended.operations

    def later(self) -> None:
        """Effects: a minute has passed at the exchange."""
        self._server.call(lambda world: world.clock.advance(us=60 * SECOND))

    def outcome(self, story: Story) -> tuple[dict[str, Decimal], dict[str, Decimal], int]:
        """What the portfolio holds, what the account holds, and how many orders the exchange has."""
        content = content_of(story.home / "live_portfolio.json")
        assert content is not None

        def read(world: World) -> tuple[dict[str, Decimal], int]:
            account = world.account("bot")
            held = {asset: each.free + each.locked for asset, each in account.balances.items()}
            return held, sum(len(orders) for orders in account.orders.values())

        held, orders = self._server.call(read)
        return parse_portfolio(content, name="portfolio").holdings(), held, orders


@pytest.fixture
def rig(database: Lease, warm_bot: WarmBot, server: SharedServer, tmp_path: Path) -> Rig:
    return Rig(database=database, warm_bot=warm_bot, server=server, folder=tmp_path)


@pytest.fixture
def begun(rig: Rig, home: Path) -> Path:
    """A home whose bot has taken up its account, and sent no order."""
    story = rig.begin(home)
    rig.run(story, "--cycles", "1", "--trade-every", "2")
    return story.home


def assert_found_out(rig: Rig, story: Story) -> None:
    """The next bot, a minute later, finds out what became of the order, and the journal explains every write."""
    rig.later()
    rig.run(story, "--cycles", "1", "--trade-every", "0")
    held_by_bot, held_there, orders = rig.outcome(story)
    assert held_by_bot == held_there
    assert orders <= 1
    lines = read_journal(story.home).lines
    assert orders_in_flight(lines) == ()
    line = explain_portfolio(story.home)
    assert line is not None
    assert line.sha256 == sha256_of(content_of(story.home / "live_portfolio.json"))


@pytest.mark.parametrize("share", range(SHARES))
def test_bot_killed_anywhere_in_a_cycle_with_an_order_loses_and_repeats_none(rig: Rig, begun: Path, share: int) -> None:
    options = ("--cycles", "1", "--trade-every", "2", "--limit-every", "0")
    operations = rig.run(rig.begin(begun), *options)
    assert operations.count("request POST /api/v3/order") == 1

    for number, operation in list(enumerate(operations, start=1))[share::SHARES]:
        for halfway in (False, True)[: 1 + operation.startswith("write ")]:
            story = rig.begin(begun)
            rig.run(story, *options, kill_at=number, halfway=halfway)
            assert_found_out(rig, story)


def test_bot_killed_at_any_request_of_a_cancel_knows_what_became_of_its_order(rig: Rig, begun: Path) -> None:
    # The order rests in one cycle and is cancelled in the next.
    options = ("--cycles", "2", "--trade-every", "2", "--limit-every", "1", "--rest-cycles", "1")
    operations = rig.run(rig.begin(begun), *options)
    cancel = operations.index("request DELETE /api/v3/order")

    # Before each request from there on, and before whatever comes after it, which is after the answer.
    asked = [place for place, operation in enumerate(operations) if operation.startswith("request") and place >= cancel]
    for place in sorted({*asked, *(each + 1 for each in asked)}):
        story = rig.begin(begun)
        rig.run(story, *options, kill_at=place + 1)
        rig.later()
        rig.run(story, "--cycles", "1", "--trade-every", "0", "--rest-cycles", "1")
        assert_found_out(rig, story)


@pytest.mark.parametrize("share", range(SHARES_OF_RECOVERY))
def test_bot_killed_while_it_finds_out_still_finds_out(rig: Rig, begun: Path, share: int) -> None:
    # Killed with its order under way, the next one is killed at each request and before what makes a write true.
    options = ("--cycles", "1", "--trade-every", "2", "--limit-every", "0")
    operations = rig.run(rig.begin(begun), *options)
    sent = operations.index("request POST /api/v3/order") + 2
    finding_out = ("--cycles", "1", "--trade-every", "0")
    story = rig.begin(begun)
    rig.run(story, *options, kill_at=sent)
    rig.later()
    asked = rig.run(story, *finding_out)

    # What it does before its first write of the portfolio changes nothing but the log.
    until = asked.index("open .market_snapshot.json.staged")
    telling = [place for place in range(until) if asked[place].startswith(("request", "write", "replace"))]
    for number in [place + 1 for place in telling][share::SHARES_OF_RECOVERY]:
        story = rig.begin(begun)
        rig.run(story, *options, kill_at=sent)
        rig.later()
        rig.run(story, *finding_out, kill_at=number)
        assert_found_out(rig, story)
