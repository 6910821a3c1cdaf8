"""A price path that somebody wrote: prices at given moments, quotes around each until the next."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sim.errors import SimError
from sim.exchange.book import Quotes
from sim.exchange.order import Trade
from sim.exchange.prices import PricePath


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedPath:
    """Step n is the n-th price. `shape` says how the outside quotes around a price; its own noise is not used."""

    moments: tuple[int, ...]
    prices: tuple[Decimal, ...]
    shape: PricePath

    def moment(self, step: int) -> int | None:
        """When that step comes, in microseconds; None behind the last."""
        return self.moments[step] if step < len(self.moments) else None

    def step_at(self, time_us: int) -> int:
        """The last step that has come at that time, -1 before the first."""
        return bisect_right(self.moments, time_us) - 1

    def quotes(self, step: int) -> Quotes:
        """What the outside offers from that step on."""
        return self._around(step).quotes(step)

    def trade(self, step: int, trade_id: int) -> Trade:
        """The print of that step."""
        return self._around(step).trade(step, trade_id, time_us=self.moments[step])

    def _around(self, step: int) -> PricePath:
        return self.shape.standing_at(self.prices[step])


def scripted(points: Sequence[tuple[int, Decimal]], shape: PricePath) -> ScriptedPath:
    """A path through these points of time, in microseconds, and price.

    Raises SimError `exchange/bad_script` unless the times rise and the prices are positive.
    """
    moments = tuple(moment for moment, _ in points)
    if list(moments) != sorted(set(moments)) or any(price <= 0 for _, price in points):
        raise SimError("exchange/bad_script", "expected rising moments and positive prices")
    return ScriptedPath(moments=moments, prices=tuple(price for _, price in points), shape=shape)
