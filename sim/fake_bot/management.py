"""What managed holdings mean for the bot: which assets it may trade, and what it expects to hold of them.

The bot keeps its expectation (`Basis`) of each managed asset in its portfolio. At the first sight of a managed asset it
adopts the baseline quantity, unless it holds some of it already or trades on an exchange, where it holds what the
account holds; from then on its own trades move expectation and
position alike. Where the two differ, something happened that the bot did not do: it trades that asset no more, and an
operator decides.

`take_stock` is a pure function, so that a restart that repeats a cycle comes to the same. Source: contract §6, §8.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from sim.fake_bot.json_file import DECIMAL_SHAPE, decimal_text
from sim.fake_bot.managed_files import Entry, ManagedFiles, ManagedPair
from sim.fake_bot.portfolio import Basis, Portfolio, Position, in_order
from sim.fake_bot.prices import Quote
from worker.contracts.states import ManagedState


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A managed asset of which the bot holds `found` and expects `expected`; quantities in units of the asset.

    `changed_by` is the command that last changed its state, `agreed_under` the one under which the bot last agreed (or
    first saw it). `since` is the generation of the files in which it first saw that one, `generation` that of the files
    as they are now.
    """

    asset: str
    state: ManagedState
    changed_by: UUID
    agreed_under: UUID
    expected: Decimal
    found: Decimal
    since: int
    generation: int

    @property
    def is_resumed(self) -> bool:
        """True when an operator has made the asset active since: the bot is told to go on with what it holds."""
        return self.state is ManagedState.MANAGED_ACTIVE and self.changed_by != self.agreed_under


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """The portfolio brought into line with the files, where it disagrees with them, and what was done, in sentences."""

    portfolio: Portfolio
    disagreements: tuple[Disagreement, ...] = ()
    told: tuple[str, ...] = ()


class Flags(Protocol):
    """Where disagreements are flagged; `sim.fake_bot.drift` keeps the real one."""

    def is_accepted(self, found: Disagreement, *, cycle: int, tell: Callable[[str], None]) -> bool:
        """True when an operator has accepted what the bot holds; else it is flagged, once.

        Raises: `BotBroken`, `BotRefused`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The portfolio after following the files, the symbols that may be traded now, and sentences for the log."""

    portfolio: Portfolio
    tradable: tuple[str, ...]
    told: tuple[str, ...]


class Management:
    """Follows the worker's two files, one look per cycle."""

    def __init__(self, *, files: ManagedFiles, flags: Flags, adopts: bool = True) -> None:
        """With `adopts` the bot takes up the baseline quantity of an asset that it does not hold."""
        self._files = files
        self._flags = flags
        self._adopts = adopts
        self._told: set[str] = set()

    def follow(
        self, portfolio: Portfolio, quotes: Mapping[str, Quote], *, cycle: int, keep: Callable[[Portfolio], object]
    ) -> Followed:
        """What this cycle may do. `tradable` keeps the order of `quotes`.

        Effects: a flag for a disagreement that is new. What the evidence is of is given to `keep` before, unless it is
        `portfolio` itself: with that on disk, a bot killed in between flags the same evidence again, which is one
        command, whatever generation the files have reached by then.

        Raises: `BotBroken`, `BotRefused` when the database fails a flag; whatever `keep` raises. Never because of the
        two files.
        """
        reading = self._files.read(baseline_known=bool(portfolio.managed))
        told = [] if reading.problem is None else [reading.problem]
        if reading.pair is None:
            return Followed(portfolio=portfolio, tradable=(), told=self._new(told))
        if not reading.pair.has_baseline:
            return Followed(portfolio=portfolio, tradable=tuple(quotes), told=self._new(told))
        stock = take_stock(portfolio, reading.pair, quotes, cycle=cycle, adopts=self._adopts)
        done = list(stock.told)
        after = stock.portfolio
        if stock.disagreements and after is not portfolio:
            keep(after)
        for found in stock.disagreements:
            if self._flags.is_accepted(found, cycle=cycle, tell=done.append):
                after = accepted(after, found, cycle=cycle)
                done.append(f"{found.asset}: the {decimal_text(found.found)} held are accepted by {found.changed_by}")
            else:
                told.append(
                    f"{found.asset}: expected to hold {decimal_text(found.expected)}, found "
                    f"{decimal_text(found.found)}; it is not traded until an operator resumes it"
                )
        told += [f"{asset}: managed, and this bot cannot hold it" for asset in _beyond(reading.pair, quotes)]
        tradable = tuple(symbol for symbol in quotes if is_tradable(symbol, after, reading.pair))
        return Followed(portfolio=after, tradable=tradable, told=(*done, *self._new(told)))

    def _new(self, sentences: Sequence[str]) -> tuple[str, ...]:
        """Those not told in the cycle before: what lasts is told once, and again if it comes back."""
        new = tuple(sentence for sentence in sentences if sentence not in self._told)
        self._told = set(sentences)
        return new


def take_stock(
    portfolio: Portfolio, pair: ManagedPair, quotes: Mapping[str, Quote], *, cycle: int, adopts: bool = True
) -> Stock:
    """`portfolio` after adopting what came under management and dropping what left it; the same one if nothing did.

    A disagreement leaves the expectation as it is.
    """
    managed = {name: entry for name, entry in pair.assets.items() if entry.is_managed}
    bases = {name: basis for name, basis in portfolio.managed.items() if name in managed}
    told = [f"{name}: no longer managed" for name in portfolio.managed if name not in managed]
    positions = dict(portfolio.positions)
    disagreements: list[Disagreement] = []
    for name, entry in managed.items():
        if name not in quotes or not _can_hold(entry):
            continue
        held = positions.get(name)
        if name not in bases:
            baseline = entry.baseline or Decimal(0)
            bases[name] = Basis(command_id=entry.command_id, expected=baseline, generation=pair.generation)
            if adopts and held is None and baseline > 0:
                held = positions[name] = Position(quantity=baseline, average_price=quotes[name].last_price)
                priced = decimal_text(held.average_price)
                told.append(f"{name}: took up {decimal_text(baseline)} of the baseline at {priced} USDT")
        found = Decimal(0) if held is None else held.quantity
        basis = bases[name]
        if found == basis.expected:
            if basis.command_id != entry.command_id:
                bases[name] = replace(basis, command_id=entry.command_id, generation=pair.generation)
            continue
        # Files that came back from a backup have never been of a later generation.
        since = pair.generation if basis.generation is None else min(basis.generation, pair.generation)
        bases[name] = replace(basis, generation=since)
        disagreements.append(
            Disagreement(
                asset=name,
                state=entry.state,
                changed_by=entry.command_id,
                agreed_under=basis.command_id,
                expected=basis.expected,
                found=found,
                since=since,
                generation=pair.generation,
            )
        )
    if bases != portfolio.managed or positions != portfolio.positions:
        portfolio = replace(portfolio, cycle=cycle, positions=in_order(positions), managed=in_order(bases))
    return Stock(portfolio=portfolio, disagreements=tuple(disagreements), told=tuple(told))


def accepted(portfolio: Portfolio, found: Disagreement, *, cycle: int) -> Portfolio:
    """`portfolio` expecting what it holds of the asset, as the operator who resumed it wants."""
    basis = Basis(command_id=found.changed_by, expected=found.found, generation=found.generation)
    return replace(portfolio, cycle=cycle, managed=in_order({**portfolio.managed, found.asset: basis}))


def is_tradable(symbol: str, portfolio: Portfolio, pair: ManagedPair) -> bool:
    """True for an asset that is actively managed and of which the bot holds what it expects."""
    entry, basis = pair.assets.get(symbol), portfolio.managed.get(symbol)
    is_active = entry is not None and entry.state is ManagedState.MANAGED_ACTIVE
    return is_active and basis is not None and basis.expected == portfolio.quantity(symbol)


def _beyond(pair: ManagedPair, quotes: Mapping[str, Quote]) -> list[str]:
    """The managed assets of which the bot knows no price, or whose quantity has more digits than a portfolio holds."""
    return [
        name for name, entry in pair.assets.items() if entry.is_managed and not (name in quotes and _can_hold(entry))
    ]


def _can_hold(entry: Entry) -> bool:
    return entry.baseline is not None and DECIMAL_SHAPE.fullmatch(decimal_text(entry.baseline)) is not None
