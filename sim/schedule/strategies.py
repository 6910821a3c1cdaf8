"""Orders drawn by chance, for races with more orders than can be run: each draw repeats by its seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from sim.schedule.hub import Moment


@dataclass(slots=True)
class RandomWalk:
    """Every option is as likely as any other, at every moment."""

    seed: int
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def choose(self, moment: Moment) -> int:
        """The number of the option to take."""
        return self._random.randrange(len(moment.options))


@dataclass(slots=True)
class Priorities:
    """Probabilistic concurrency testing: the actor of highest priority moves; at a few steps it falls behind all.

    A bug that needs `depth` ordered events is found by one draw with a probability of at least 1 / (n k^(depth-1)),
    with n actors and k `steps`. Source: Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of
    Finding Bugs", ASPLOS 2010.
    """

    seed: int
    actors: Sequence[str]
    steps: int
    depth: int = 3
    _ranks: dict[str, int] = field(init=False)
    _changes: set[int] = field(init=False)

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        order = list(self.actors)
        chance.shuffle(order)
        self._ranks = {name: rank for rank, name in enumerate(order)}
        places = range(1, max(self.steps, self.depth) + 1)
        self._changes = set(chance.sample(places, min(self.depth - 1, len(places))))

    def choose(self, moment: Moment) -> int:
        """The number of the option to take."""
        if len(moment.trace.taken) in self._changes and moment.last in self._ranks:
            self._ranks[moment.last] = max(self._ranks.values()) + 1
        ranks = [self._ranks.get(option.actor, 0) for option in moment.options]
        return ranks.index(min(ranks))
