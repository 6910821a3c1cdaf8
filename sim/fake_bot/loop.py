"""One cycle of the bot: look at clock, prices and managed holdings, perhaps trade, write what changed, beat."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from sim.fake_bot import home as paths
from sim.fake_bot.desk import Desk, Turn
from sim.fake_bot.durable import write_all
from sim.fake_bot.errors import BotRefused
from sim.fake_bot.heartbeats import Heartbeat, Pulse
from sim.fake_bot.journal import JournalWriter
from sim.fake_bot.json_file import decimal_text, utc_text
from sim.fake_bot.management import Management
from sim.fake_bot.market import market_document
from sim.fake_bot.portfolio import (
    Portfolio,
    Trade,
    parse_portfolio,
    portfolio_document,
    starting_portfolio,
)
from sim.fake_bot.prices import Quote
from sim.fake_bot.reading import JournalEvent, content_of, read_journal, sha256_of
from sim.fake_bot.strategy import decide


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """What one cycle left on disk, and how the bot stands with its exchange, where it has one."""

    cycle: int
    portfolio_sha256: str
    wrote_portfolio: bool
    exchange: str | None = None


class Bot:
    """A bot that has taken up its home: knows its portfolio, and the cycle it is in."""

    def __init__(
        self,
        *,
        home: Path,
        journal: JournalWriter,
        heartbeats: Pulse,
        management: Management,
        desk: Desk,
        trade_every: int,
    ) -> None:
        """Take up the portfolio on disk, or none. The cycle number goes on from the newest heartbeat that reported it.

        Effects: puts right what a kill left behind (`JournalWriter.recover`).

        Raises: `BotRefused` (`bot/portfolio_damaged`, `bot/portfolio_unexplained`, `bot/exchange_missing`);
        `JournalDamaged`; `BotBroken`.
        """
        self._home = home
        self._journal = journal
        self._heartbeats = heartbeats
        self._management = management
        self._desk = desk
        self._said: frozenset[str] = frozenset()
        self._trade_every = trade_every
        recovered = journal.recover()
        self._portfolio, self._sha256 = take_up_portfolio(home)
        self._cycle = 0
        if self._portfolio is not None and self._sha256 is not None:
            reported = heartbeats.last_cycle(portfolio_sha256=self._sha256)
            self._cycle = max(self._portfolio.cycle, reported or 0)
            if self._portfolio.exchange is not None and desk.standing is None:
                raise BotRefused(
                    "bot/exchange_missing",
                    f"{home / paths.PORTFOLIO} is of an account on an exchange, and this bot has none; set its "
                    "exchange and key, or give it a home of its own",
                )
        at = heartbeats.now()
        for sentence in recovered:
            self._log(at, sentence)
        self._log(at, f"started after cycle {self._cycle} with pid {os.getpid()}")

    def run_cycle(self) -> CycleReport:
        """Run the next cycle.

        Effects: `live_portfolio.json` if it shows drift that it did not show before, a flag for that drift
        (`Management.follow`), `live_portfolio.json` if it changed (again), `state/market_snapshot.json`, a journal line
        for each file, one row in `bot_statuses`, one line in the log; in this order, so that a heartbeat never tells of
        a file that is not there.

        Raises: `BotRefused` (`bot/portfolio_changed`) if somebody else changed the portfolio; `BotBroken`; `OSError`.
        """
        self._require_own_portfolio()
        at = self._heartbeats.now()
        cycle = self._cycle + 1
        had = self._sha256
        turn = self._turn(at, cycle)
        quotes = self._desk.look(turn)
        trade = None if quotes is None else self._decide(turn, quotes)
        self._said = frozenset(turn.said)
        if quotes is not None:
            market_sha256 = sha256_of(content_of(self._home / paths.MARKET))
            self._journal.publish(
                JournalEvent.MARKET_SNAPSHOT_WRITE,
                market_document(quotes, at=at),
                previous_sha256=market_sha256,
                at=at,
                cycle=cycle,
            )
        assert self._sha256 is not None
        self._heartbeats.beat(Heartbeat(pid=os.getpid(), cycle=cycle, portfolio_sha256=self._sha256))
        self._cycle = cycle
        report = CycleReport(
            cycle=cycle,
            portfolio_sha256=self._sha256,
            wrote_portfolio=self._sha256 != had,
            exchange=self._desk.standing,
        )
        self._log(at, _sentence(report, trade))
        return report

    def _decide(self, turn: Turn, quotes: Mapping[str, Quote]) -> Trade | None:
        """The trade of this cycle, made. Effects: the portfolio after it, and after the files, is on disk."""
        before, is_new = turn.portfolio, self._portfolio is None
        followed = self._management.follow(
            before or starting_portfolio(cycle=turn.cycle), quotes, cycle=turn.cycle, keep=turn.keep
        )
        for sentence in followed.told:
            turn.say(sentence)
        after = followed.portfolio
        trade: Trade | None = None
        if not is_new:
            tradable = tuple(symbol for symbol in followed.tradable if self._desk.may_trade(symbol))
            trade = decide(after, quotes, tradable=tradable, cycle=turn.cycle, trade_every=self._trade_every)
            after = after if trade is None else self._desk.trade(turn, after, trade)
        if after is not self._portfolio or self._sha256 is None:
            turn.keep(after)
        return trade

    def _turn(self, at: datetime, cycle: int) -> Turn:
        said_before, say = self._said, partial(self._log, at)
        return Turn(
            cycle=cycle,
            at=at,
            portfolio=self._portfolio,
            keep=partial(self._write_portfolio, at=at, cycle=cycle),
            say=say,
            said_before=said_before,
        )

    def _write_portfolio(
        self, portfolio: Portfolio, *, at: datetime, cycle: int, reason: str | None = None, order: str | None = None
    ) -> str:
        """The hash of the file that holds it now."""
        content = portfolio_document(portfolio, at=at)
        self._sha256 = self._journal.publish(
            JournalEvent.PORTFOLIO_WRITE,
            content,
            previous_sha256=self._sha256,
            at=at,
            cycle=cycle,
            reason=reason,
            order=order,
        )
        self._portfolio = portfolio
        return self._sha256

    def _require_own_portfolio(self) -> None:
        path = self._home / paths.PORTFOLIO
        found = sha256_of(content_of(path))
        if found != self._sha256:
            raise BotRefused(
                "bot/portfolio_changed",
                f"{path}: expected the portfolio this bot wrote, sha256 {self._sha256 or 'none'}, found "
                f"{found or 'no file'}; somebody else changed it: nothing was overwritten, find out who",
            )

    def _log(self, at: datetime, sentence: str) -> None:
        """Append to the log, which is for people: not synced, a kill may cost its last line."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._home / paths.LOG, flags, 0o644)
        try:
            write_all(descriptor, f"{utc_text(at)} {sentence}\n".encode())
        finally:
            os.close(descriptor)


def take_up_portfolio(home: Path) -> tuple[Portfolio | None, str | None]:
    """The portfolio on disk and its hash; both None in a home that never had one.

    Raises: `BotRefused` (`bot/portfolio_damaged`) naming path and place; (`bot/portfolio_unexplained`) when it is not
    what the journal says was written last. Nothing is overwritten either way.
    """
    path = home / paths.PORTFOLIO
    content = content_of(path)
    portfolio = None if content is None else parse_portfolio(content, name=str(path))
    lines = read_journal(home).of(JournalEvent.PORTFOLIO_WRITE)
    expected = lines[-1].sha256 if lines else None
    found = sha256_of(content)
    if found != expected:
        raise BotRefused(
            "bot/portfolio_unexplained",
            f"{path}: expected what {paths.JOURNAL} says was written last, sha256 {expected or 'none'}, found "
            f"{found or 'no file'}; nothing was overwritten, restore the file and its journal together",
        )
    return portfolio, found


def _sentence(report: CycleReport, trade: Trade | None) -> str:
    wrote = "wrote" if report.wrote_portfolio else "kept"
    traded = "" if trade is None else f": {trade.side} {decimal_text(trade.quantity)} {trade.symbol}"
    priced = "" if trade is None else f" at {decimal_text(trade.price)} USDT"
    return f"cycle {report.cycle} {wrote} portfolio {report.portfolio_sha256}{traded}{priced}"
