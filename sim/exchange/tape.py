"""The trades of one symbol: since the world began, and before it a history that is made when asked for."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol, Self

from sim.exchange.amounts import ZERO, rounded_half_up
from sim.exchange.clock import MINUTE
from sim.exchange.order import Trade


class History(Protocol):
    """What was traded before the world began."""

    def count(self) -> int:
        """How many trades there were; their ids are 0 to count - 1."""

    def between(self, begin_us: int, end_us: int) -> Sequence[Trade]:
        """The trades of that time, both ends included, oldest first."""


class NoHistory:
    """Nothing was traded before."""

    def count(self) -> int:
        """None at all."""
        return 0

    def between(self, begin_us: int, end_us: int) -> Sequence[Trade]:
        """None at all."""
        return ()


# Behind every time a parameter can name.
MAX_TIME_US: Final = 10**20


def _time(trade: Trade) -> int:
    return trade.time_us


def _id(trade: Trade) -> int:
    return trade.trade_id


def _between(trades: Sequence[Trade], begin_us: int, end_us: int) -> Sequence[Trade]:
    return trades[bisect_left(trades, begin_us, key=_time) : bisect_right(trades, end_us, key=_time)]


class RollingAverage:
    """The volume-weighted average price over the last `window_us`, kept up to date trade by trade."""

    def __init__(self, window_us: int) -> None:
        self._window_us: Final = window_us
        self._trades: list[Trade] = []
        self._first = 0
        self._volume = ZERO
        self._quote = ZERO

    def add(self, trade: Trade) -> None:
        self._trades.append(trade)
        self._volume += trade.quantity
        self._quote += trade.quote_quantity

    def at(self, now_us: int) -> Decimal | None:
        """The average, to eight places; None where nothing was traded in the window."""
        trades, first = self._trades, self._first
        while first < len(trades) and trades[first].time_us <= now_us - self._window_us:
            self._volume -= trades[first].quantity
            self._quote -= trades[first].quote_quantity
            first += 1
        self._first = first
        if first > 10_000:
            del trades[:first]
            self._first = 0
        return rounded_half_up(self._quote / self._volume) if self._volume else None


@dataclass(slots=True, kw_only=True)
class Aggregate:
    """Trades of one taking order at one time and price."""

    aggregate_id: int
    price: Decimal
    quantity: Decimal
    first_id: int
    last_id: int
    time_us: int
    is_buyer_maker: bool
    taker: int

    @classmethod
    def of(cls, trade: Trade, aggregate_id: int) -> Self:
        return cls(
            aggregate_id=aggregate_id,
            price=trade.price,
            quantity=trade.quantity,
            first_id=trade.trade_id,
            last_id=trade.trade_id,
            time_us=trade.time_us,
            is_buyer_maker=trade.is_buyer_maker,
            taker=trade.taker,
        )

    def takes(self, trade: Trade) -> bool:
        """Whether the trade is one of these."""
        return (self.taker, self.time_us, self.price) == (trade.taker, trade.time_us, trade.price)


class Tape:
    """Trades by id, which count up by one from 0, and by time."""

    def __init__(self, *, history: History, start_price: Decimal) -> None:
        self._history: History | None = history
        self._trades: list[Trade] = []
        self._next_id = history.count()
        self.last_price = start_price
        self._averages: dict[int, RollingAverage] = {}
        self._aggregates: list[Aggregate] = []
        self._aggregated = 0

    @property
    def next_id(self) -> int:
        return self._next_id

    @property
    def last_time_us(self) -> int | None:
        """When the last trade was; None where there was none yet."""
        trades = self._trades or self.all()
        return trades[-1].time_us if trades else None

    def record(self, trade: Trade) -> None:
        self._next_id += 1
        self._trades.append(trade)
        self.last_price = trade.price
        for average in self._averages.values():
            average.add(trade)

    def all(self) -> Sequence[Trade]:
        """Every trade, oldest first, the history included."""
        if self._history is not None:
            self._trades[:0] = self._history.between(0, MAX_TIME_US)
            self._history = None
        return self._trades

    def between(self, begin_us: int, end_us: int) -> Sequence[Trade]:
        """Trades from `begin_us` to `end_us`, both included."""
        return _between(self.all(), begin_us, end_us)

    def from_id(self, first_id: int, limit: int) -> Sequence[Trade]:
        trades = self.all()
        begin = bisect_left(trades, first_id, key=_id)
        return trades[begin : begin + limit]

    def aggregates(self) -> Sequence["Aggregate"]:
        """All trades, those that one order made at one time and price counted as one."""
        trades = self.all()
        while self._aggregated < len(trades):
            trade = trades[self._aggregated]
            self._aggregated += 1
            last = self._aggregates[-1] if self._aggregates else None
            if last is not None and last.takes(trade):
                last.quantity += trade.quantity
                last.last_id = trade.trade_id
            else:
                self._aggregates.append(Aggregate.of(trade, len(self._aggregates)))
        return self._aggregates

    def latest(self, limit: int) -> Sequence[Trade]:
        return self.all()[-limit:]

    def _recent(self, begin_us: int, end_us: int) -> Sequence[Trade]:
        """As `between`, without making the whole history for it."""
        before = self._history.between(begin_us, end_us) if self._history is not None else ()
        return [*before, *_between(self._trades, begin_us, end_us)]

    def average(self, minutes: int, now_us: int) -> Decimal:
        """The volume-weighted average price of the last minutes; the last price without trades, or for 0."""
        if not minutes:
            return self.last_price
        average = self._averages.get(minutes)
        if average is None:
            average = self._averages[minutes] = RollingAverage(minutes * MINUTE)
            for trade in self._recent(now_us - minutes * MINUTE, now_us):
                average.add(trade)
        return average.at(now_us) or self.last_price
