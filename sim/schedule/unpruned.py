"""Runs every order of a race, one by one, with nothing pruned: it knows no states and shares no code with the search.

So it can say how many feasible orders there are, and what comes of them, to hold against what the search claims. Only
for small races: the number of orders is exponential.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sim.errors import SimError
from sim.schedule.hub import Moment


@dataclass(slots=True)
class Counted:
    """All orders: how many there are, and how many came out in which way."""

    orders: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


def count_orders(run: Callable[[Callable[[Moment], int]], str], *, max_orders: int) -> Counted:
    """What came of every order. `run` plays one, asking for each choice, and says how it came out.

    Raises: `SimError` (`schedule/too_many_orders`) beyond `max_orders`.
    """
    counted = Counted()
    prefix: list[int] | None = []
    while prefix is not None:
        if counted.orders == max_orders:
            raise SimError("schedule/too_many_orders", f"there are more than {max_orders} orders; count a smaller race")
        player = _Prefix(prefix)
        counted.outcomes[run(player.choose)] += 1
        counted.orders += 1
        prefix = player.next_prefix()
    return counted


class _Prefix:
    """Plays fixed numbers, then the first option each time."""

    def __init__(self, prefix: list[int]) -> None:
        self._taken = list(prefix)
        self._given = len(prefix)
        self._of: list[int] = []

    def choose(self, moment: Moment) -> int:
        place = len(self._of)
        self._of.append(len(moment.options))
        if place >= self._given:
            self._taken.append(0)
        return self._taken[place]

    def next_prefix(self) -> list[int] | None:
        """The prefix of the next order, by counting up the last number that can be; None after the last order."""
        for place in reversed(range(len(self._of))):
            if self._taken[place] + 1 < self._of[place]:
                return [*self._taken[:place], self._taken[place] + 1]
        return None
