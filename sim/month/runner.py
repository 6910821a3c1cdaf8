"""Plays the month: the bot cycle by cycle, the clock in steps, trouble in between, and a look at every turn."""

import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from sim.errors import SimError
from sim.exchange.clock import SECOND, Clock
from sim.exchange.commission import CommissionRates, rates_of
from sim.exchange.keys import ApiKey
from sim.exchange.rules import recorded_rules
from sim.exchange.world import World
from sim.fake_bot import home as paths
from sim.fake_bot.exchange_client import ExchangeClient
from sim.fake_bot.exchange_desk import ExchangeDesk
from sim.fake_bot.journal import open_journal
from sim.fake_bot.loop import Bot
from sim.fake_bot.managed_files import ManagedFiles
from sim.fake_bot.management import Disagreement, Management
from sim.fake_bot.reading import content_of, explanation, sha256_of
from sim.month.in_process import BotKilled, KillingTransport, SessionMaker, WorldPulse, open_client
from sim.month.troubles import Troubles
from sim.postgres.run_folder import MEMORY_FOLDER
from sim.rules.breach import Breach
from sim.rules.exchange import order_without_intent_or_sent_twice, portfolio_and_exchange_disagree
from sim.stack.evidence_exchange import LOOKED, ExchangeWitness
from sim.timeline import Timeline

BEGINS_US = 1_778_544_000_000_000
"""2026-05-12, midnight UTC."""

TURN_S = 1800
TURNS_A_DAY = 86_400 // TURN_S
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT")
KEY, SECRET = "k" * 64, "of a month that nobody trades"
MAX_SETTLING_TURNS = 20
"""How soon after the last trouble everything must be known again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """What came of it. `reasons` count the portfolio's writes, `standings` the cycles, `met` the troubles."""

    seed: int
    days: int
    cycles: int
    lives: int
    kills: int
    orders_sent: int
    orders_taken: int
    reasons: dict[str, int]
    standings: dict[str, int]
    met: dict[str, int]
    portfolio: dict[str, str]
    holds: dict[str, str]
    in_flight: tuple[str, ...]
    breaches: tuple[Breach, ...]
    problems: tuple[str, ...]
    portfolio_sha256: str

    @property
    def is_sound(self) -> bool:
        """Whether everything adds up, and every write is explained."""
        return not (self.breaches or self.problems or self.in_flight) and self.portfolio == self.holds

    def lines(self) -> Iterator[str]:
        """The month for people."""
        yield f"seed {self.seed}: {self.days} days, {self.cycles} cycles, {self.lives} lives, {self.kills} kills"
        yield f"orders: {self.orders_sent} sent, {self.orders_taken} taken by the exchange"
        yield "portfolio written for: " + _counted(self.reasons)
        yield "cycles ended: " + _counted(self.standings)
        yield f"troubles met: {sum(self.met.values())} of {len(self.met)} kinds"
        for name, count in self.met.items():
            yield f"  {count:4} {name}"
        yield f"the bot holds      {_counted(self.portfolio)}"
        yield f"the exchange holds {_counted(self.holds)}"
        yield f"portfolio {self.portfolio_sha256}"
        for breach in self.breaches:
            yield f"BREACH {breach.describe()}"
        for problem in self.problems:
            yield f"PROBLEM {problem}"
        yield "sound" if self.is_sound else "NOT SOUND"


def play_month(*, seed: int, days: int = 30) -> Month:
    """The month of that seed; the same seed gives the same month. Its home lies in memory where there is some."""
    below = MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="sim-month-", dir=below) as folder:
        return _Player(Path(folder), seed=seed, days=days).play()


class _NobodyFlags:
    """Where drift would be flagged: there is no baseline in such a month."""

    def is_accepted(self, found: Disagreement, **_: object) -> bool:
        raise AssertionError(f"expected no managed asset in a month, found {found.asset}")


class _Player:
    def __init__(self, home: Path, *, seed: int, days: int) -> None:
        self._home, self._seed, self._days = home, seed, days
        self._chance = random.Random(seed)
        self._world = _made_world(seed)
        self._troubles = Troubles(self._world, self._chance)
        self._pulse = WorldPulse(self._world)
        self._witness = ExchangeWitness(home, "bot")
        self._world.subscribe(self._witness.hear)
        self._timeline = Timeline()
        self._standings: Counter[str] = Counter()
        self._problems: list[str] = []
        self._cycles = self._lives = self._kills = 0

    def play(self) -> Month:
        (self._home / ".env").write_text("BINANCE_TESTNET=true\n")
        turns = self._days * TURNS_A_DAY
        while turns > 0:
            turns -= self._live(turns, trades=True)
        self._troubles.settle()
        for _ in range(MAX_SETTLING_TURNS):
            self._live(1, trades=False)
            if self._standings and not self._in_flight() and self._last == "settled":
                break
        return self._month()

    def _live(self, turns: int, *, trades: bool) -> int:
        """How many turns the bot lived, at most `turns`: till it is killed, ends, or the month is over."""
        self._lives += 1
        done = 0
        try:
            with self._bot(trades=trades) as (bot, transport):
                while done < turns:
                    done += 1
                    self._turn(bot, transport, trades=trades)
        except BotKilled:
            self._kills += 1
        except SimError as ended:
            self._standings[f"ended by {ended.code}"] += 1
        self._look()
        return max(done, 1)

    def _turn(self, bot: Bot, transport: KillingTransport, *, trades: bool) -> None:
        self._world.clock.advance(us=(TURN_S if self._chance.random() < 0.9 else 7) * SECOND)
        self._world.catch_up()
        if trades:
            self._troubles.stir()
            self._look()
            if self._chance.random() < 0.06:
                transport.kill_in, transport.after_it = self._chance.randrange(5), self._chance.random() < 0.5
        self._cycles += 1
        self._last = "killed"
        report = bot.run_cycle()
        self._last = report.exchange or "none"
        self._standings[self._last] += 1
        self._timeline.record(actor="bot", kind="bot.cycled", subject="bot", exchange=report.exchange)
        self._look()

    @contextmanager
    def _bot(self, *, trades: bool) -> Iterator[tuple[Bot, KillingTransport]]:
        transport = KillingTransport(self._world)
        with open_client(transport) as http, open_journal(self._home) as journal:
            client = ExchangeClient(
                http, api_key=KEY, secret=SECRET, clock_ms=lambda: self._world.clock.now_us() // 1000
            )
            connect = SessionMaker(self._world)
            desk = ExchangeDesk(
                client, user_connect=connect, price_connect=connect, seed=self._seed, limit_every=2, rest_cycles=3
            )
            files = ManagedFiles(self._home)
            try:
                yield (
                    Bot(
                        home=self._home,
                        journal=journal,
                        heartbeats=self._pulse,
                        management=Management(files=files, flags=_NobodyFlags(), adopts=False),
                        desk=desk,
                        trade_every=1 if trades else 0,
                    ),
                    transport,
                )
            finally:
                desk.close()

    def _look(self) -> None:
        detail = self._witness.look(self._world)
        self._timeline.record(actor="witness", kind=LOOKED, subject="bot", at=self._pulse.now(), **detail)
        self._problems += self._world.breaches()
        path = self._home / paths.PORTFOLIO
        found, staged = sha256_of(content_of(path)), sha256_of(content_of(paths.staged(path)))
        line = explanation(self._witness.lines, found_sha256=found, staged_sha256=staged)
        if (None if line is None else line.sha256) != found:
            self._problems.append(f"cycle {self._cycles}: no line of the journal explains the portfolio")

    def _in_flight(self) -> tuple[str, ...]:
        return self._witness.in_flight

    def _month(self) -> Month:
        looks = self._timeline.of_kind(LOOKED)
        last = looks[-1].detail
        lines = self._witness.lines
        breaches = (
            *portfolio_and_exchange_disagree(self._timeline),
            *order_without_intent_or_sent_twice(self._timeline),
        )
        return Month(
            seed=self._seed,
            days=self._days,
            cycles=self._cycles,
            lives=self._lives,
            kills=self._kills,
            orders_sent=sum(len(look.detail["sent"]) for look in looks),
            orders_taken=sum(len(look.detail["taken"]) for look in looks),
            reasons=dict(sorted(Counter(line.reason for line in lines if line.reason is not None).items())),
            standings=dict(sorted(self._standings.items())),
            met=self._troubles.met(),
            portfolio=last["portfolio"] or {},
            holds=last["holds"],
            in_flight=self._in_flight(),
            breaches=breaches,
            problems=tuple(self._problems[:10]),
            portfolio_sha256=sha256_of(content_of(self._home / paths.PORTFOLIO)) or "none",
        )


def _made_world(seed: int) -> World:
    rules = recorded_rules()
    traded = {symbol: rules.symbols[symbol] for symbol in SYMBOLS}
    world = World(
        clock=Clock.standing_at(BEGINS_US),
        rules=replace(rules, symbols=traded),
        seed=seed,
        step_s=300,
        history_s=86_400,
    )
    commission = rates_of({"maker": Decimal("0.00075"), "taker": Decimal("0.00123")})
    world.open_account(
        "bot",
        key=ApiKey(api_key=KEY, account="bot", secret=SECRET),
        rates=CommissionRates(standard=commission),
        pays_in_discount_asset=seed % 2 == 0,
    )
    return world


def _counted(named: dict[str, int] | dict[str, str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in named.items()) or "nothing"
