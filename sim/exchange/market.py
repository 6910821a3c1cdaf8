"""One symbol as the engine sees it: rules, book, tape, stops that wait, and the path its prices follow."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from sim.exchange.book import Book, Quotes
from sim.exchange.order import Order, Trade
from sim.exchange.prices import PathHistory, PricePath
from sim.exchange.rules import SymbolRules
from sim.exchange.tape import NoHistory, Tape


class Path(Protocol):
    """What a market's price follows, step by step."""

    def moment(self, step: int) -> int | None:
        """When that step comes, in microseconds; None behind the last."""

    def step_at(self, time_us: int) -> int:
        """The last step that has come at that time."""

    def quotes(self, step: int) -> Quotes:
        """What the outside offers from that step on."""

    def trade(self, step: int, trade_id: int) -> Trade:
        """The print of the outside at that step."""


@dataclass(slots=True, kw_only=True, eq=False)
class Market:
    """The state of one symbol. `next_step` is the first step of the path that has not been played."""

    rules: SymbolRules
    tape: Tape
    book: Book = field(default_factory=Book)
    stops: list[Order] = field(default_factory=list)
    status: str = "TRADING"
    path: Path | None = None
    next_step: int = 0
    next_order_id: int = 1
    next_prevented_match_id: int = 0
    # The state of the book that subscribers last heard of.
    told_update_id: int = 0
    # Prices traded at since the stops were last looked at.
    unseen: list[Decimal] = field(default_factory=list)
    # Stops that were triggered and have not come to the book yet.
    triggered: list[Order] = field(default_factory=list)

    @property
    def symbol(self) -> str:
        return self.rules.symbol


def market_on_path(rules: SymbolRules, path: PricePath, *, now_us: int, history_us: int) -> Market:
    """A market whose price follows the path, with a history of that length."""
    last = path.step_at(now_us)
    history = PathHistory(path=path, first=path.step_at(now_us - history_us) + 1, last=last)
    market = Market(
        rules=rules,
        status=rules.status,
        tape=Tape(history=history, start_price=path.price(last)),
        path=path,
        next_step=last + 1,
    )
    market.book.promise(path.quotes(last))
    return market


def market_by_hand(rules: SymbolRules, price: Decimal) -> Market:
    """A market that nothing moves but the control plane: an empty book and a last price."""
    return Market(rules=rules, status=rules.status, tape=Tape(history=NoHistory(), start_price=price))
