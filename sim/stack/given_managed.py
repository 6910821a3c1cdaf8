"""Starting facts of managed holdings: prices, a portfolio, and assets that were brought where they stand.

Prices and portfolio are the bot's files, written here as a bot of an earlier day left them, journal included. What
stands in managed holdings is made by the real services and the real worker. Source: contract §2, §8.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from sim.clock import VirtualClock
from sim.errors import SimError
from sim.fake_bot import home as bot_paths
from sim.fake_bot.journal import open_journal
from sim.fake_bot.market import market_document
from sim.fake_bot.portfolio import Portfolio, Position, parse_portfolio, portfolio_document
from sim.fake_bot.prices import Asset, DailyClose, PriceWalk, Quote
from sim.fake_bot.reading import JournalEvent, content_of, sha256_of
from sim.stack.click_witness import Click
from sim.stack.given import Given
from sim.stack.kept_stages import StageKeeper
from sim.stack.managed_views import ProposalView, view_asset, view_proposal
from sim.stack.migrations import Migrations
from sim.stack.rows import Rows
from sim.witness.audit import acting_as
from worker.contracts.errors import StackError
from worker.contracts.proposals import OPEN_FOR
from worker.contracts.states import CommandStatus
from worker.readers.home import Home
from worker.services.drift import DriftEvidence, DriftService
from worker.services.submission import CreatedCommand

BASELINE: Mapping[str, str] = MappingProxyType({"BTC": "0.5", "ETH": "2"})
"""What is held where a story does not say: units of each asset, decimal text."""

T = TypeVar("T")

SEED = 1
_BEFORE_MANAGED = "0001"
_ACTOR = "given"
_BOT = "bot"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedGiven(Given):
    """The starting facts of every story, those of managed holdings among them."""

    clock: VirtualClock
    rows: Rows
    keeper: StageKeeper | None = None

    def applied_baseline(self, holdings: Mapping[str, str]) -> CreatedCommand:
        """See `Given`."""
        make = super(ManagedGiven, self).applied_baseline
        return self._made(("baseline", *sorted(holdings.items())), lambda: make(holdings))

    def market(
        self,
        prices: Mapping[str, str] | None = None,
        *,
        closes: Mapping[str, Sequence[str]] | None = None,
        closes_n: int | None = None,
        age: timedelta = timedelta(0),
        without: Sequence[str] = (),
    ) -> None:
        """Effects: the market snapshot, made `age` ago: four assets with thirty closes each, unless told otherwise.

        `prices` are last prices, `closes` daily closes, oldest first, both decimal text in USDT; an asset named in
        either is there. `closes_n` keeps only so many of the newest closes; assets in `without` are left out.
        """
        at = self.clock.now() - age
        quotes = dict(PriceWalk(seed=SEED).quotes(cycle=1, today=at.date()))
        for symbol in {**(prices or {}), **(closes or {})}:
            quotes.setdefault(symbol, _unknown(symbol, quotes["BTC"]))
        for symbol, price in (prices or {}).items():
            quotes[symbol] = replace(quotes[symbol], last_price=Decimal(price))
        for symbol, told in (closes or {}).items():
            days = [at.date() - timedelta(days=len(told) - place) for place in range(len(told))]
            made = tuple(DailyClose(date=day, close=Decimal(close)) for day, close in zip(days, told, strict=True))
            quotes[symbol] = replace(quotes[symbol], daily_closes=made)
        kept = {
            symbol: replace(quote, daily_closes=_newest(quote.daily_closes, closes_n))
            for symbol, quote in sorted(quotes.items())
            if symbol not in without
        }
        self._publish(JournalEvent.MARKET_SNAPSHOT_WRITE, market_document(kept, at=at))

    def portfolio(self, positions: Mapping[str, str], *, cash: str = "10000") -> None:
        """Effects: the bot's portfolio holds exactly these quantities (decimal text) and so much USDT."""
        quotes = PriceWalk(seed=SEED).quotes(cycle=1, today=self.clock.now().date())
        path = self.home / bot_paths.PORTFOLIO
        before = content_of(path)
        cycle = 1 if before is None else parse_portfolio(before, name=str(path)).cycle
        held = {
            asset: Position(
                quantity=Decimal(quantity),
                average_price=quotes[asset].last_price if asset in quotes else Decimal(1),
            )
            for asset, quantity in sorted(positions.items())
        }
        portfolio = Portfolio(cycle=cycle, cash_usdt=Decimal(cash), positions=MappingProxyType(held))
        self._publish(JournalEvent.PORTFOLIO_WRITE, portfolio_document(portfolio, at=self.clock.now()), cycle=cycle)

    def risk_proposed(
        self, asset: str, *, expires_in: timedelta | None = None, intent: str = "Manage it."
    ) -> ProposalView:
        """The asset's open proposal; where the story has none yet, a baseline, an active profile and a market too.

        `expires_in` is how long it can still be decided, at most fifteen minutes: it was requested that much earlier.
        """
        what = ("proposed", asset, expires_in, intent)
        return self._made(what, lambda: self._risk_proposed(asset, expires_in=expires_in, intent=intent))

    def _risk_proposed(self, asset: str, *, expires_in: timedelta | None, intent: str) -> ProposalView:
        now = self.clock.now()
        if expires_in is not None:
            self.clock.freeze_at(now - (OPEN_FOR - expires_in))
        self._stage_of(asset)
        request = self.day.request(asset, intent=intent)
        self._run(request)
        if expires_in is not None:
            self.clock.freeze_at(now)
        return view_proposal(self.rows, request)

    def managed_active(self, asset: str, *, variant: str = "balanced") -> ProposalView:
        """The asset is under management, by this proposal."""

        def make() -> ProposalView:
            proposal = self.risk_proposed(asset)
            self._run(self.day.approve(proposal, variant, confidence_override=True))
            return view_proposal(self.rows, proposal)

        return self._made(("active", asset, variant), make)

    def paused(self, asset: str) -> ProposalView:
        """The asset is under management by this proposal, and paused."""

        def make() -> ProposalView:
            proposal = self.managed_active(asset)
            self._run(self.day.pause(asset))
            return proposal

        return self._made(("paused", asset), make)

    def drift_flagged(self, asset: str, *, found: str | None = None) -> ProposalView:
        """The asset is under management by this proposal, and the bot has flagged that it holds `found` of it.

        `found` is decimal text in units of the asset; None is a tenth less than what is recorded.
        """

        def make() -> ProposalView:
            proposal = self.managed_active(asset)
            self._run(self.flag_of_the_bot(asset, found=found))
            return proposal

        return self._made(("flagged", asset, found), make)

    def flag_of_the_bot(self, asset: str, *, found: str | None = None) -> CreatedCommand:
        """The bot's pending flag: it holds `found` (decimal text, units of the asset); None: a tenth too little.

        Raises: what the service refuses with.
        """
        held = view_asset(self.home, asset)
        quantity = held.quantity * Decimal("0.9") if found is None else Decimal(found)
        evidence = DriftEvidence(expected=held.quantity, found=quantity, generation=held.generation)
        click = Click(actor=_BOT, button="flag drift", subject=asset)
        with acting_as(_BOT), self.day.witness.watching(click):
            try:
                flag = DriftService(self.day.engine).create_flag_command(asset, evidence)
            except StackError:
                click.outcome = "refused"
                raise
            click.outcome = "clicked"
        self.day.witness.look_after(click, flag.command_id, created=flag.created)
        return flag

    def managed_tables_taken_down_and_up(self) -> None:
        """Effects: the two MH-4 tables were dropped and made anew, empty; every earlier table keeps its rows."""
        proposals = [str(row["proposal_id"]) for row in self.rows.dump("managed_proposals")]
        assets = sorted({str(row["asset"]) for row in self.rows.dump("managed_assets_history")})
        migrations = Migrations(self.lease.address, timeline=self.timeline)
        migrations.downgrade(_BEFORE_MANAGED)
        migrations.upgrade()
        for table, lost in (("managed_proposals", proposals), ("managed_assets_history", assets)):
            for subject in lost:
                self.timeline.record(actor=_ACTOR, kind="cache.changed", subject=subject, table=table, columns=[])

    @contextmanager
    def damaged(self, name: str, damage: Callable[[bytes], bytes]) -> Iterator[Path]:
        """Inside the block the home's file of that name, the bot's too, is damaged; then it is as it was before.

        Raises: `SimError` (`stage/nothing_damaged`) where `damage` leaves the content as it is.
        """
        path = self.home / name
        whole = path.read_bytes()
        if damage(whole) == whole:
            raise SimError("stage/nothing_damaged", f"{name} is the same after the damage; look at what it holds")
        self._overwrite(path, damage(whole))
        try:
            yield path
        finally:
            self._overwrite(path, whole)

    def _overwrite(self, path: Path, content: bytes) -> None:
        with acting_as(_ACTOR):
            path.write_bytes(content)
        self.settle()
        self.timeline.record(actor=_ACTOR, kind="given.file", subject=path.relative_to(self.home).as_posix())

    def _made(self, what: Hashable, make: Callable[[], T]) -> T:
        """What `make` answers, or what it has answered to another story of this process that began so."""
        return make() if self.keeper is None else self.keeper.made(what, make)

    def _stage_of(self, asset: str) -> None:
        """Effects: whatever a request for `asset` needs and the story has not given is there."""
        if not Home(self.home).baseline_holdings.exists():
            self._run(self.applied_baseline({**BASELINE, asset: BASELINE.get(asset, "10")}), is_run=True)
        if self.rows.scalar("SELECT count(*) AS n FROM config_profiles WHERE status = 'active'") == 0:
            self.reference_profile()
        if not Home(self.home).market_snapshot.exists():
            self.market()

    def _run(self, command: CreatedCommand, *, is_run: bool = False) -> None:
        """Effects: a worker has carried the command out.

        Raises: `SimError` (`stage/given_failed`) where it did not: this worker has no handler for it, say.
        """
        if not is_run:
            self.worker.run_earlier()
        stands = self.rows.command(command.command_id)
        if stands.status is not CommandStatus.SUCCEEDED:
            raise SimError(
                "stage/given_failed",
                f"a starting fact needs {stands.command_type} to succeed, found {stands.status.value} "
                f"({stands.error_message or 'no reason'}); give what it needs first, or mark the scenario with "
                "needs_handlers for workers that lack it",
            )

    def _publish(self, event: JournalEvent, content: bytes, *, cycle: int = 1) -> None:
        with acting_as(_ACTOR), open_journal(self.home) as journal:
            previous = sha256_of(content_of(self.home / event.path))
            journal.publish(event, content, previous_sha256=previous, at=self.clock.now(), cycle=cycle)
        self.settle()
        self.timeline.record(actor=_ACTOR, kind=f"given.{event.value}", subject=event.path.as_posix())


def _unknown(symbol: str, like: Quote) -> Quote:
    """A quote of an asset that the walk does not know, at the price of another."""
    asset = Asset(symbol=symbol, base_price=like.asset.base_price, tick=like.asset.tick, step=like.asset.step)
    return replace(like, asset=asset)


def _newest(closes: tuple[DailyClose, ...], count: int | None) -> tuple[DailyClose, ...]:
    """The newest `count` closes, all of them for None."""
    return closes if count is None else closes[max(0, len(closes) - count) :]
