"""Where the bot's prices come from and its trades go: a desk. The paper desk has a seeded walk and fills at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sim.fake_bot.portfolio import Portfolio, Trade, after_trade
from sim.fake_bot.prices import PriceSource, Quote


class Keep(Protocol):
    """Puts a portfolio on disk, explained by the journal."""

    def __call__(self, portfolio: Portfolio, *, reason: str | None = None, order: str | None = None) -> object:
        """Effects: `portfolio` stands on disk when it returns; `reason` and `order` stand in the journal's line."""
        ...


@dataclass(slots=True, kw_only=True)
class Turn:
    """One cycle as a desk sees it. `portfolio` is what stands on disk, None before the first one was written.

    `say` puts a sentence into the log; `said_before` are those that were told once in the cycle before.
    """

    cycle: int
    at: datetime
    portfolio: Portfolio | None
    keep: Keep
    say: Callable[[str], None]
    said_before: frozenset[str] = frozenset()
    said: set[str] = field(default_factory=set)

    def say_once(self, sentence: str) -> None:
        """Effects: the sentence is in the log, but not again while it is told in every cycle."""
        if sentence not in self.said_before and sentence not in self.said:
            self.say(sentence)
        self.said.add(sentence)

    def write(self, portfolio: Portfolio, *, reason: str, order: str | None = None) -> Portfolio:
        """`portfolio`, which stands on disk now, for `reason`."""
        self.keep(portfolio, reason=reason, order=order)
        self.portfolio = portfolio
        return portfolio


class Desk(Protocol):
    """What the cycle needs of the market."""

    @property
    def adopts(self) -> bool:
        """Whether the bot may take up holdings that it is only told of."""
        ...

    @property
    def standing(self) -> str | None:
        """How the bot stands with its exchange after this cycle; None where it has none."""
        ...

    def look(self, turn: Turn) -> Mapping[str, Quote] | None:
        """A quote for each asset, by symbol, in a fixed order; None where nothing may be relied on in this cycle.

        Effects: `turn.portfolio` is what it has become by what happened on the market since.
        """
        ...

    def may_trade(self, symbol: str) -> bool:
        """Whether a trade of that asset may be decided in this cycle."""
        ...

    def trade(self, turn: Turn, portfolio: Portfolio, trade: Trade) -> Portfolio:
        """`portfolio` after `trade`, as far as it has got."""
        ...


class PaperDesk:
    """Prices of a walk, and trades that are filled at once and to the full."""

    adopts = True
    standing = None

    def __init__(self, prices: PriceSource) -> None:
        self._prices = prices

    def look(self, turn: Turn) -> Mapping[str, Quote] | None:
        """See `Desk`."""
        return self._prices.quotes(cycle=turn.cycle, today=turn.at.date())

    def may_trade(self, symbol: str) -> bool:
        """See `Desk`: any asset, at any time."""
        return True

    def trade(self, turn: Turn, portfolio: Portfolio, trade: Trade) -> Portfolio:
        """See `Desk`."""
        return after_trade(portfolio, trade, cycle=turn.cycle)
