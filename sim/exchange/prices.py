"""A seeded price path: the same seed, symbol and time give the same price, and any moment can be asked for at once.

The price is the start price moved by noise of several octaves, each a row of random heights joined by straight lines;
the rows are hashes of the seed. Only whole numbers are used: ticks, and millionths of the start price.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any, Final

from sim.exchange.amounts import rounded_down, whole_steps
from sim.exchange.book import Level, Quotes
from sim.exchange.order import Trade
from sim.exchange.rules import SymbolRules
from sim.exchange.tables import table

_MILLION: Final = 1_000_000
# A print of the outside has no taking order that could be asked for.
NO_ORDER: Final = -1


@lru_cache(maxsize=1 << 18)
def _drawn(seed: int, symbol: str, row: str, place: int) -> int:
    """A whole number below 2**32, always the same for the same arguments."""
    return int.from_bytes(blake2b(f"{seed}/{symbol}/{row}/{place}".encode(), digest_size=4).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePath:
    """Prices of one symbol at moments `step_us` apart, counted from 1970; at `origin` the price is the start price.

    `settled` makes it so: it fills in `settled_ppm`, the noise at the origin, which is taken off every price.

    `quantity` is what rests at the best price on either side. `octaves` are pairs of a period in steps and an
    amplitude in millionths.
    """

    seed: int
    symbol: str
    start_price: Decimal
    tick: Decimal
    lot_step: Decimal
    quantity: Decimal
    spread_ticks: int
    levels: int
    step_us: int
    origin: int
    octaves: tuple[tuple[int, int], ...]
    settled_ppm: int = 0

    def moment(self, step: int) -> int | None:
        """When that step comes, in microseconds."""
        return step * self.step_us

    def step_at(self, time_us: int) -> int:
        """The last step that has come at that time."""
        return time_us // self.step_us

    def standing_at(self, price: Decimal) -> "PricePath":
        """A path that quotes as this one does and never moves from the price."""
        return replace(self, start_price=price, octaves=(), settled_ppm=0)

    def settled(self) -> "PricePath":
        """This path, its price at the origin being the start price."""
        return replace(self, settled_ppm=self._noise(self.origin))

    def price(self, step: int) -> Decimal:
        moved = _MILLION + self._noise(step) - self.settled_ppm
        ticks = int(self.start_price / self.tick) * moved // _MILLION
        return max(ticks, 1 + self.spread_ticks) * self.tick

    def trade(self, step: int, trade_id: int, *, time_us: int | None = None) -> Trade:
        """The print of the outside at that step, at its time if no other is given."""
        price = self.price(step)
        drawn = self._draw("print", step)
        part = Decimal(1 + drawn % 64) / 64
        quantity = max(whole_steps(self.quantity * part, self.lot_step), self.lot_step)
        return Trade(
            trade_id=trade_id,
            price=price,
            quantity=quantity,
            quote_quantity=rounded_down(price * quantity),
            time_us=step * self.step_us if time_us is None else time_us,
            is_buyer_maker=bool(drawn >> 31),
            taker=NO_ORDER,
        )

    def quotes(self, step: int) -> Quotes:
        """What the outside offers at that step, around the price."""
        price = self.price(step)
        best_bid = price - self.tick * (self.spread_ticks // 2)
        best_ask = best_bid + self.tick * self.spread_ticks

        def build() -> tuple[Sequence[Level], Sequence[Level]]:
            bids = [self._level(step, "bid", best_bid, -1, depth) for depth in range(self.levels)]
            asks = [self._level(step, "ask", best_ask, 1, depth) for depth in range(self.levels)]
            return [level for level in bids if level[0] > 0], asks

        return Quotes(best_bid=best_bid, best_ask=best_ask, build=build)

    def _level(self, step: int, row: str, best: Decimal, direction: int, depth: int) -> Level:
        part = Decimal(32 + self._draw(row, step * self.levels + depth) % 64) / 64
        quantity = whole_steps(self.quantity * part * (1 + depth), self.lot_step)
        return best + direction * depth * self.tick, max(quantity, self.lot_step)

    def _draw(self, row: str, place: int) -> int:
        return _drawn(self.seed, self.symbol, row, place)

    def _noise(self, step: int) -> int:
        """Millionths of the start price."""
        total = 0
        for period, amplitude in self.octaves:
            place, offset = divmod(step, period)
            row = f"octave{period}"
            before = self._draw(row, place) % (2 * amplitude + 1) - amplitude
            after = self._draw(row, place + 1) % (2 * amplitude + 1) - amplitude
            total += before + (after - before) * offset // period
        return total


@lru_cache(maxsize=64)
def _printed(path: PricePath, first: int, last: int) -> tuple[Trade, ...]:
    """The history of a path, shared by all worlds that began at the same step."""
    return tuple(path.trade(step, step - first) for step in range(first, last + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PathHistory:
    """The prints of a path from step `first` to step `last`."""

    path: PricePath
    first: int
    last: int

    def count(self) -> int:
        """One a step."""
        return self.last - self.first + 1

    def between(self, begin_us: int, end_us: int) -> Sequence[Trade]:
        """The prints of that time."""
        first = max(self.first, -(-begin_us // self.path.step_us))
        last = min(self.last, end_us // self.path.step_us)
        if (first, last) == (self.first, self.last):
            return _printed(self.path, first, last)
        return [self.path.trade(step, step - self.first) for step in range(first, last + 1)]


@cache
def _octaves(step_us: int) -> tuple[tuple[int, int], ...]:
    given: list[dict[str, Any]] = table("world.toml")["path"]["octaves"]
    return tuple((max(1, each["period_s"] * _MILLION // step_us), each["amplitude_ppm"]) for each in given)


def default_path(rules: SymbolRules, *, seed: int, now_us: int, step_us: int) -> PricePath | None:
    """The path of a symbol in a world made at `now_us`; None where the table names no price for it."""
    shape = table("world.toml")["prices"].get(rules.symbol)
    if shape is None:
        return None
    path = PricePath(
        seed=seed,
        symbol=rules.symbol,
        start_price=Decimal(shape["start"]),
        tick=rules.tick,
        lot_step=rules.step,
        quantity=Decimal(shape["quantity"]),
        spread_ticks=shape["spread_ticks"],
        levels=table("world.toml")["path"]["ladder_levels"],
        step_us=step_us,
        origin=now_us // step_us,
        octaves=_octaves(step_us),
    )
    return path.settled()
